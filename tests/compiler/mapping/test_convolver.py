import numpy as np
import pytest

from compiler.layout import FOLDED, Unfolding
from compiler.mapping import Timing, svpe, vpe
from compiler.mapping.convolver import plans, unfolding_of
from compiler.nest import sequence
from quant.errors import NoMulError
from quant.graph import Window
from rtl.engines.svpe import ENGINE as SVPE_ENGINE
from rtl.isa import LEVELS, Nest
from tests.compiler.mapping.convolutions import convolution
from tests.machines import convolver
from tests.random_networks import NetworkBuilder

SAME = Window((3, 3), padding=(1, 1, 1, 1))
SVPE = convolver(vector_words=4)


def weights(*shape, seed=0):
    return np.random.default_rng(seed).choice([-4, -2, -1, 0, 1, 2, 4], shape)


@pytest.mark.parametrize(
    "window, groups, size",
    [
        (SAME, 1, (40, 40)),
        (Window((11, 11), (4, 4), (2, 2, 2, 2)), 1, (31, 33)),
        (Window((3, 3), (2, 2), (1, 0, 1, 1), (2, 3)), 1, (17, 33)),
        (SAME, 32, (9, 11)),
        (Window((5, 6)), 2, (5, 6)),
        (Window(), 1, (7, 5)),
    ],
)
def test_nests_agree_and_fit_the_machine(window, groups, size):
    config = SVPE.engine_config
    task = convolution(weights(32, 32 // groups, *window.kernel), window, groups, size, pitch=5)
    mapped = svpe.map_convolution(SVPE, task)
    covered = 0
    for run in mapped.runs:
        assert len(run.activations.levels) <= LEVELS[Nest.ACTIVATION]
        assert len(run.sums.levels) == LEVELS[Nest.SUM]
        share = SVPE_ENGINE.share(config, run.settings)
        tiles, rest = divmod(run.activations.words, share.vectors)
        assert rest == 0
        assert run.sums.words == tiles * share.sums
        assert run.weights.words == tiles * share.weights
        positions, steps, passes, groups_of_sums = (level.count for level in run.sums.levels)
        assert positions * groups_of_sums == run.tile.words
        assert steps * passes == 1 or positions <= SVPE.memory.accumulator_words
        addresses = sequence(
            run.weights.address,
            [level.count for level in run.weights.levels],
            [level.stride for level in run.weights.levels],
        )
        assert sorted(set(addresses.tolist())) == list(range(len(mapped.weights)))
        assert run.tile.members == SVPE.groups
        covered += run.tile.rows * run.tile.columns
    assert covered == mapped.output.shape[1] * mapped.output.shape[2]


def settings_of(mapped):
    return [run.settings for run in mapped.runs]


def test_kernels_come_from_lines_and_points_do_not():
    kernel = svpe.map_convolution(SVPE, convolution(weights(16, 24, 3, 3), SAME, size=(9, 9)))
    assert all(settings["lines"] for settings in settings_of(kernel))
    point = svpe.map_convolution(SVPE, convolution(weights(16, 64, 1, 1), size=(9, 9)))
    assert not any(settings["lines"] for settings in settings_of(point))
    # Eight blocks in the eight words of two groups of four.
    assert point.runs[0].sums.levels[1].count == 1
    assert point.runs[0].vector.group_step == 4


def test_a_map_larger_than_the_accumulators_goes_in_parts():
    machine = convolver(accumulator_words=64)
    mapped = svpe.map_convolution(machine, convolution(weights(16, 24, 3, 3), SAME, size=(40, 30)))
    assert all(run.sums.levels[0].count <= 64 for run in mapped.runs)
    assert sum(run.sums.levels[0].count * run.sums.levels[3].count for run in mapped.runs) == 1200


def test_groups_of_blocks_that_read_alike():
    task = convolution(weights(64, 16, 3, 3), SAME, 2, (9, 9))
    found = list(plans(SVPE.engine_config, task, 1, 256))
    assert {(plan.reads.repeat, plan.reads.count) for plan in found} == {(2, 2)}


def test_one_tile_for_a_window():
    mapped = svpe.map_convolution(
        SVPE, convolution(np.full((16, 1, 6, 6), 4), groups=16, size=(6, 6), pitch=3)
    )
    (run,) = mapped.runs
    assert len(mapped.weights) == run.weights.words == SVPE.engine_config.outputs
    assert run.settings["last_vector"] + 1 == run.sums.words


@pytest.mark.parametrize(
    "window, expected",
    [
        (Window((11, 11), (4, 4), (2, 3, 2, 2)), Unfolding(4, 2, 4, 4, 3, 4)),
        (SAME, FOLDED),
        (Window((1, 1), (2, 2)), FOLDED),
    ],
)
def test_images_by_phases(window, expected):
    net = NetworkBuilder((3, 23, 23), np.random.default_rng(0))
    net.conv("input", 4, window)
    assert unfolding_of(net.layers[0], 8, 1) == expected


def test_timing():
    mapped = svpe.map_convolution(SVPE, convolution(weights(16, 8, 3, 3), SAME, size=(6, 7)))
    (run,) = mapped.runs

    class Run:
        def engine_settings(self, layout):
            return run.settings

    config = SVPE.engine_config
    assert config.outputs == 16
    assert svpe.timing(config, Run()) == Timing(16, 8 * 9, 8 * 9, config.latency, 9, 2, 2)


@pytest.mark.parametrize(
    "values, bits, expected",
    [
        ([127, -128], 8, [0]),
        ([171, 3], 8, [0, 8]),
        ([-129, 128], 8, [0, 8]),
        ([0], 4, [0]),
        ([7, -8], 4, [0]),
        ([16, -48], 4, [4]),
        ([4095, -4096, 77], 4, [0, 4, 12]),
    ],
)
def test_passes_of_whole_weights(values, bits, expected):
    machine = convolver("vpe", weights=f"s{bits}")
    weight = np.array(values)
    shifts, parts = vpe.passes(machine, "layer", weight)
    assert shifts == expected
    half = 1 << bits - 1
    assert parts.min() >= -half and parts.max() < half
    assert np.array_equal(sum(part << shift for part, shift in zip(parts, shifts)), weight)


def test_passes_out_of_reach():
    with pytest.raises(NoMulError, match="layer layer: its weights are up to 1048576, passes of"):
        vpe.passes(convolver("vpe", weights="s4"), "layer", np.array([-(1 << 20), 3]))
