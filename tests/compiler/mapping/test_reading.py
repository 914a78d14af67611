import numpy as np
import pytest

from compiler.layout import Layout
from compiler.mapping.reading import NOTHING, InputBlocks, readings
from compiler.nest import sequence
from quant.graph import Window
from tests.compiler.mapping.convolutions import convolution


@pytest.mark.parametrize(
    "inputs, outputs, groups, expected",
    [
        (32, 32, 32, (0, 1, 1)),  # depthwise: block by block
        (32, 64, 32, None),  # two outputs a channel: half a block an output block
        (32, 32, 4, (0, 1, 1)),  # groups as wide as a block
        (32, 32, 2, None),  # two blocks read the same two
        (24, 24, 1, (0, 0, 3)),
    ],
)
def test_input_blocks(inputs, outputs, groups, expected):
    task = convolution(np.ones((outputs, inputs // groups, 1, 1), int), groups=groups)
    reads = InputBlocks.of(task)
    if expected:
        assert (reads.first, reads.stride, reads.count) == expected
    for block in range(task.output.layout.blocks):
        first = reads.first + reads.stride * block
        assert first >= 0
        assert first + reads.count <= task.input.layout.blocks
        for channel in range(8 * block, 8 * block + 8):
            source = channel // (outputs // groups) * (inputs // groups)
            assert first <= source // 8 < first + reads.count


@pytest.mark.parametrize(
    "inputs, outputs, groups, split, expected",
    [
        (64, 64, 4, 2, (0, 2, 2, 1)),
        (32, 64, 2, 2, (0, 2, 2, 2)),  # two groups of blocks read the same two
        (32, 32, 1, 2, (0, 0, 4, 1)),
        (48, 48, 48, 4, None),  # the last group of blocks is not full
    ],
)
def test_input_blocks_of_groups(inputs, outputs, groups, split, expected):
    task = convolution(np.ones((outputs, inputs // groups, 1, 1), int), groups=groups)
    reads = InputBlocks.of_groups(task, split)
    if expected:
        assert (reads.first, reads.stride, reads.count, reads.repeat) == expected
    for channel in range(outputs):
        first = reads.start(channel // (8 * split))
        source = channel // (outputs // groups) * (inputs // groups)
        assert 0 <= first <= source // 8 < first + reads.count <= task.input.layout.blocks


@pytest.mark.parametrize("words", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (1, 7)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("blocks, pitch, depthwise", [(1, 1, 0), (2, 2, 0), (3, 5, 0), (3, 3, 1)])
def test_every_kernel_position_and_block_is_read_once(
    words, kernel, dilation, blocks, pitch, depthwise
):
    channels = 8 * blocks
    groups = channels if depthwise else 1
    weight = np.ones((channels if depthwise else 8, channels // groups, *kernel), int)
    task = convolution(weight, Window(kernel, dilation=dilation), groups, (12, 24), pitch=pitch)
    reads = InputBlocks.of(task)
    assert reads.count == (1 if depthwise else blocks)
    found = readings(task, reads, words)
    assert found
    for reading in found:
        counts = [level.count for level in reading.levels]
        addresses = sequence(0, counts, [level.stride for level in reading.levels])
        rows = sequence(0, counts, [level.row for level in reading.levels])
        columns = sequence(0, counts, [level.column for level in reading.levels])
        assert len(addresses) == reading.steps
        seen = []
        for step in range(reading.steps):
            for j in range(words):
                block = int(reading.blocks[step, j])
                if block == NOTHING:
                    continue
                row, column = int(reading.rows[step, j]), int(reading.columns[step, j])
                seen.append((row, column, block))
                assert rows[step] == row * dilation[0]
                word = column * dilation[1] * pitch + block
                assert columns[step] + j * reading.word_step == word
                address = row * dilation[0] * 24 * pitch + word
                assert addresses[step] + j * reading.word_step == address
        expected = [
            (r, c, b)
            for r in range(kernel[0])
            for c in range(kernel[1])
            for b in range(reads.count)
        ]
        assert sorted(seen) == expected
        banks = 1 << (words - 1).bit_length()
        assert len({j * reading.word_step % banks for j in range(words)}) == words


def test_ways_to_read_a_kernel_row():
    dense = convolution(np.ones((8, 16, 3, 3), int))
    # A run of 6 words; each tap's 2 blocks; the taps' blocks apart need an odd pitch.
    assert [r.steps for r in readings(dense, InputBlocks.of(dense), 3)] == [6, 9]
    depthwise = convolution(np.ones((24, 1, 3, 3), int), groups=24)
    # A run of 7 words from which 3 count; each tap alone; three taps at once.
    assert [r.steps for r in readings(depthwise, InputBlocks.of(depthwise), 3)] == [9, 9, 3]


def test_alike_steps():
    depthwise = convolution(np.ones((16, 1, 2, 6), int), groups=16, size=(6, 6), pitch=5)
    # A run of words of which every fifth counts; each tap alone; three taps at once.
    found = readings(depthwise, InputBlocks.of(depthwise), 3)
    assert [r.alike for r in found] == [False, True, True]
    uneven = convolution(np.ones((16, 1, 2, 5), int), groups=16, size=(6, 6), pitch=5)
    found = readings(uneven, InputBlocks.of(uneven), 3)
    assert [r.alike for r in found] == [False, True, False]


def test_blocks_of_a_layout_with_gaps():
    gaps = Layout.concatenate([Layout.default(4, 8), Layout.default(12, 8)])
    task = convolution(np.ones((8, 16, 1, 1), int), layouts=(gaps, None))
    assert InputBlocks.of(task).count == 3
