from collections import Counter

import numpy as np
import pytest

from compiler.mapping.reading import NOTHING, InputBlocks
from compiler.mapping.sweep import axis, sweeps
from compiler.nest import sequence
from quant.graph import Window
from tests.compiler.mapping.convolutions import convolution


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("kernel", [3, 5])
def test_axis(size, stride, kernel):
    """Every kernel row is in one tap of one window; the first rows of the array may be idle."""
    found = axis(size, stride, kernel)
    assert found.positions.shape == (found.phases, found.parts, kernel)
    used = found.positions[found.positions != NOTHING]
    assert sorted(used.tolist()) == list(range(size))
    assert (found.positions[..., : kernel - found.taps] == NOTHING).all()
    # Tap d of a window is d strides behind the first, whose place is affine in phase and part.
    for phase, part in np.ndindex(found.phases, found.parts):
        row = found.positions[phase, part, kernel - found.taps :]
        expected = phase + part * found.step + stride * np.arange(found.taps)
        assert (row[row != NOTHING] == expected[row != NOTHING]).all()


@pytest.mark.parametrize("words", [1, 4, 9])
@pytest.mark.parametrize(
    "window",
    [
        Window((3, 3)),
        Window((5, 4), (2, 1)),
        Window((11, 11), (4, 4)),
        Window((1, 1), (2, 2)),
        Window((3, 2), dilation=(2, 3)),
    ],
)
def test_every_kernel_position_and_block_is_read_once(words, window):
    """What a tap sees is the input that its weight belongs to."""
    blocks, pitch, kernel = 3, 5, 3
    weight = np.ones((8, 8 * blocks, *window.kernel), int)
    task = convolution(weight, window, size=(16, 24), pitch=pitch)
    found = sweeps(task, InputBlocks.of(task), kernel, words)
    assert any(s.lines for s in found) == (window.kernel != (1, 1) and window.dilation == (1, 1))
    for sweep in found:
        reading = sweep.reading
        counts = [level.count for level in reading.levels]
        rows = sequence(0, counts, [level.row for level in reading.levels])
        columns = sequence(0, counts, [level.column for level in reading.levels])
        addresses = sequence(0, counts, [level.stride for level in reading.levels])
        assert len(rows) == reading.steps
        assert np.array_equal(addresses, rows * task.input.stored[2] * pitch + columns)
        seen: Counter = Counter()
        for step, tap in zip(*np.nonzero(reading.blocks != NOTHING)):
            block, row, column = (
                int(part[step, tap]) for part in (reading.blocks, reading.rows, reading.columns)
            )
            seen[block, row, column] += 1
            # Word of the tap relative to that of the output position's first kernel position.
            if sweep.lines:
                i, j = divmod(int(tap), kernel)
                down = (i - (kernel - 1 - sweep.skip_rows)) * window.stride[0]
                across = (j - (kernel - 1 - sweep.skip_columns)) * window.stride[1] * pitch
            else:
                down, across = 0, int(tap) * reading.word_step
            assert rows[step] + down == row * window.dilation[0]
            assert columns[step] + across == column * window.dilation[1] * pitch + block
        assert set(seen.values()) == {1}
        assert len(seen) == blocks * window.positions
