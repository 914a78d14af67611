import dataclasses

import numpy as np
import pytest

from compiler import mapping
from compiler.mapping import Timing
from compiler.mapping.gemm import splits, tile_timing
from compiler.mapping.reading import InputBlocks
from compiler.mapping.shift_gemm import map_convolution
from compiler.nest import sequence
from quant.errors import NoMulError
from quant.graph import Window
from rtl.isa import LEVELS, Nest
from tests.compiler.mapping.convolutions import convolution
from tests.machines import machine

WIDE = machine(8, 3, 2)
SAME = Window((3, 3), padding=(1, 1, 1, 1))


def random_weight(*shape):
    return np.random.default_rng(0).choice([1, 2, -4], shape)


def test_found_by_name():
    assert mapping.find("shift_gemm").map_convolution is map_convolution
    with pytest.raises(NoMulError, match="no mapping for the engine nonesuch"):
        mapping.find("nonesuch")


def test_timing():
    config = WIDE.engine_config
    # A tile of two blocks is 16 words, and takes 17 cycles.
    assert tile_timing(config, 40, 2) == Timing(16, 40, 40, config.latency)
    assert tile_timing(config, 4, 2) == Timing(16, 4, 17, config.latency)


@pytest.mark.parametrize("arch", [machine(), WIDE, machine(4, 2, 4)], ids=lambda a: a.name)
@pytest.mark.parametrize(
    "window, groups, size",
    [
        (SAME, 1, (40, 40)),
        (Window((3, 3), (2, 2), (1, 0, 1, 1), (2, 3)), 1, (17, 33)),
        (SAME, 16, (9, 11)),
        (Window((5, 6)), 2, (5, 6)),
        (Window(), 1, (7, 5)),
    ],
)
def test_nests_agree_and_fit_the_machine(arch, window, groups, size):
    weight = random_weight(16, 16 // groups, *window.kernel)
    task = convolution(weight, window, groups, size, arch.lanes, pitch=5)
    mapped = map_convolution(arch, task)
    covered = 0
    for run in mapped.runs:
        assert len(run.activations.levels) <= LEVELS[Nest.ACTIVATION]
        assert len(run.sums.levels) == LEVELS[Nest.SUM]
        assert run.activations.words == run.sums.words
        positions, steps, passes, groups_of_sums = (level.count for level in run.sums.levels)
        assert positions * groups_of_sums == run.tile.words
        assert steps * passes == 1 or positions <= arch.memory.accumulator_words
        vectors = run.settings["last_vector"] + 1
        tiles, rest = divmod(run.sums.words, vectors)
        assert rest == 0
        assert run.weights.words == tiles * arch.lanes << run.settings["split"]
        addresses = sequence(
            run.weights.address,
            [level.count for level in run.weights.levels],
            [level.stride for level in run.weights.levels],
        )
        assert sorted(set(addresses.tolist())) == list(range(len(mapped.weights)))
        assert run.tile.members == arch.groups
        covered += run.tile.rows * run.tile.columns
    assert covered == mapped.output.shape[1] * mapped.output.shape[2]


@pytest.mark.parametrize(
    "outputs, size, split",
    [
        (8, (8, 8), 1),  # one block: groups work on pixels
        (16, (7, 7), 2),  # odd rows would leave a group idle
        (24, (8, 8), 1),  # an odd number of blocks would
        (16, (1, 1), 2),
    ],
)
def test_groups_share_blocks_or_pixels(outputs, size, split):
    mapped = map_convolution(WIDE, convolution(random_weight(outputs, 24, 3, 3), SAME, size=size))
    assert {run.tile.split for run in mapped.runs} == {split}


def splits_of(arch, task):
    return set(splits(arch.engine_config, task, InputBlocks.of(task)))


def test_two_blocks_of_two_pixels():
    arch = machine(8, 1, 4)
    task = convolution(random_weight(16, 8, 3, 3), SAME, size=(6, 6))
    assert splits_of(arch, task) == {1, 2, 4}
    apart = dataclasses.replace(task, output=dataclasses.replace(task.output, pitch=3))
    assert splits_of(arch, apart) == {1, 4}
    uneven = dataclasses.replace(task, residual=apart.output)
    assert splits_of(arch, uneven) == {1, 4}


def test_three_kernel_columns_at_once():
    mapped = map_convolution(
        WIDE, convolution(random_weight(24, 1, 3, 3), SAME, 24, (8, 8), pitch=3)
    )
    (run,) = mapped.runs
    assert run.vector.word_step == 3
    assert run.sums.levels[1].count == 3


def test_one_tile_for_a_window():
    mapped = map_convolution(
        WIDE, convolution(np.full((16, 1, 6, 6), 4), groups=16, size=(6, 6), pitch=3)
    )
    (run,) = mapped.runs
    assert len(mapped.weights) == 16
    assert run.settings["last_vector"] + 1 == run.sums.words == 6 * 2


def test_many_parts_of_a_map_in_one_run():
    mapped = map_convolution(
        WIDE, convolution(random_weight(8, 8, 3, 3), SAME, size=(32, 32), pitch=1)
    )
    (run,) = mapped.runs
    assert run.sums.levels[3].count > 4
    # A run a part where passes and taps leave no loop for the parts.
    dilated = Window((3, 3), padding=(2, 2, 2, 2), dilation=(2, 2))
    weight = random_weight(32, 32, 3, 3) * 3
    mapped = map_convolution(WIDE, convolution(weight, dilated, size=(32, 32), pitch=4))
    assert {len(run.passes) for run in mapped.runs} == {2}
    assert len(mapped.runs) > 1
    assert all(run.sums.levels[3].count == run.tile.groups for run in mapped.runs)
