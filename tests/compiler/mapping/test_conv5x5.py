import numpy as np
import pytest

from compiler.mapping import Timing, conv5x5
from compiler.mapping.conv5x5 import codebook_of, coding, map_convolution
from quant.errors import NoMulError
from quant.graph import Window
from rtl.codebook.multiples import ENTRIES
from rtl.engines.conv5x5 import Conv5x5
from rtl.packing import unpack
from tests.compiler.mapping.convolutions import convolution
from tests.machines import codebook_machine

WIDE = codebook_machine(20, 2, 2)


def decoded(found):
    """Weights that codes and settings of a coding stand for, passes shifted and added."""
    book = np.concatenate([[0], Conv5x5.values(found.settings)])
    parts = book[found.encode(found.parts)]
    return sum(part << shift for part, shift in zip(parts, found.shifts, strict=True))


@pytest.mark.parametrize(
    "values, shifts, book",
    [
        ([-33, -13, 29, 0], [0], [-33, -13, 29]),
        ([-33, -13, 29], [0], [-33, -13, 29]),
        ([0, 7, 7], [0], [7, 0, 0]),
        ([0, 0], [0], [0, 0, 0]),
        ([256, -256, 128], [1], [-128, 64, 128]),
        ([255, -256], [0], [-256, 255, 0]),
        ([1 << 20], [13], [128, 0, 0]),
        ([1, 2, 3, 4], [0, 2], [-1, 1, 2]),
        ([1, 2, 3, 1 << 10], [0, 2, 10], [-1, 1, 2]),
    ],
)
def test_codebooks(values, shifts, book):
    weights = np.array(values)
    found = coding(WIDE, "layer", weights)
    assert found.shifts == shifts
    assert Conv5x5.values(found.settings).tolist() == book
    assert np.array_equal(decoded(found), weights)


def test_any_weights_are_digits():
    weights = np.arange(-128, 128)
    found = coding(WIDE, "layer", weights)
    assert found.shifts == [0, 2, 4, 6, 8]
    assert np.array_equal(decoded(found), weights)


@pytest.mark.parametrize("values", [[1 << 30, 1, 2, 3], [1 << 30]])
def test_weights_out_of_reach(values):
    with pytest.raises(NoMulError, match="layer layer: its weights are up to 1073741824 and of mo"):
        coding(WIDE, "layer", np.array(values))


def test_a_codebook_keeps_weights_whole():
    assert codebook_of(np.array([1, 1 << 9, 2]), 16) is None
    assert codebook_of(np.arange(5), 16) is None


def test_mapping():
    """Settings of a run, and indices in the order output, word, lane."""
    rng = np.random.default_rng(0)
    weight = rng.choice([-30, 5, 0, 100], (40, 40, 1, 1))
    task = convolution(weight, Window(), size=(6, 6), lanes=20, signed=False)
    mapped = map_convolution(WIDE, task)
    (run,) = mapped.runs
    assert run.passes == (0,) and not mapped.correction.any()
    book = np.concatenate([[0], Conv5x5.values(run.settings)])
    words = unpack(mapped.weights, 2, 40)
    assert np.array_equal(book[words], weight[:, :, 0, 0])

    class Run:
        def engine_settings(self, layout):
            return run.settings

    config = WIDE.engine_config
    load, vectors = 20 << run.settings["split"], run.settings["last_vector"] + 1
    expected = Timing(max(load, ENTRIES), vectors, max(vectors, load + 1), config.latency)
    assert conv5x5.timing(config, Run()) == expected


def test_signed_activations_are_corrected():
    weight = np.array([[[[3]]], [[[-5]]]])
    task = convolution(weight, signed=True, lanes=20)
    mapped = map_convolution(WIDE, task)
    assert mapped.correction[0, :3].tolist() == [3 * 128, -5 * 128, 0]
