"""Sliced convolutions: runs of different weights that use the accumulators alike."""

import dataclasses

import numpy as np
import pytest

from compiler import mapping
from compiler.nest import sequence
from quant.graph import Window
from tests.compiler.mapping.convolutions import convolution
from tests.machines import codebook_machine, convolver, machine

SAME = Window((3, 3), padding=(1, 1, 1, 1))


def words(arch, task):
    """Accumulator of each output: group of blocks, row, column and members of every word."""
    mapped = mapping.find(arch.engine).map_convolution(arch, task)
    _, height, width = mapped.output.shape
    found = {}
    for run in mapped.runs:
        positions, steps, passes, groups = counts = [level.count for level in run.sums.levels]
        strides = [level.stride for level in run.sums.levels]
        addresses = sequence(run.sums.address, counts, strides)
        addresses = addresses.reshape(groups, steps * passes, positions)
        assert (addresses == addresses[:, :1]).all()
        tile = run.tile
        assert (tile.rows, tile.columns) == (height, width)
        for word, address in enumerate(addresses[:, 0].reshape(-1).tolist()):
            group, position = divmod(word, positions)
            assert address not in found
            found[address] = tile.block + group * tile.split, position, tile.split, tile.pixels
    assert set(found) == set(range(len(found)))
    return found, {run.passes for run in mapped.runs}


@pytest.mark.parametrize(
    "arch",
    [
        machine(),
        machine(8, 3, 2),
        machine(4, 2, 4),
        codebook_machine(5, 2, 2),
        convolver(vector_words=2),
    ],
    ids=lambda arch: arch.name,
)
@pytest.mark.parametrize(
    "window, size, outputs",
    [(SAME, (3, 5), 40), (SAME, (4, 4), 8), (Window(), (1, 1), 40), (Window((2, 3)), (2, 3), 24)],
)
def test_accumulators_do_not_hang_on_weights(arch, window, size, outputs):
    """More or fewer inputs, and passes, of all blocks or of some."""
    rng = np.random.default_rng(0)
    many = rng.integers(-8, 8, (outputs, 40, *window.kernel)) * 16
    mixed = rng.choice([-1, 0, 1], (outputs, 16, *window.kernel))
    mixed[: outputs // 2] *= 5 if arch.engine != "svpe" else 4
    ones = np.ones((outputs, 8, *window.kernel), np.int64)
    found = []
    for weight in (many, mixed, ones):
        task = convolution(weight, window, size=size, lanes=arch.lanes, pitch=7)
        found.append(words(arch, dataclasses.replace(task, sliced=True)))
    accumulators, passes = zip(*found)
    assert accumulators[0] == accumulators[1] == accumulators[2]
    assert passes[0] != passes[2]
