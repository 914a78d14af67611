import dataclasses

import numpy as np

from compiler.mapping.reading import InputBlocks, readings
from compiler.mapping.shift_gemm import coding
from compiler.mapping.weights import Coding, weight_tiles
from quant.weight_formats import weight_format
from rtl.engines.shift_gemm import ShiftGemm
from rtl.packing import unpack
from tests.compiler.mapping.convolutions import convolution
from tests.machines import machine


def coded(arch, parts, shifts) -> Coding:
    """Passes as they are, in codes of the machine's lanes."""
    found = coding(arch, "layer", np.zeros(1, np.int64))
    return dataclasses.replace(found, shifts=shifts, parts=parts)


def test_tiles_hold_blocks_columns_words_and_lanes_in_this_order():
    arch = machine(4, 3, 2)
    config = arch.engine_config
    source = np.random.default_rng(0)
    weight = source.choice([-64, -2, 0, 1, 32], (10, 7, 3, 3))
    task = convolution(weight, lanes=4, signed=False)
    reads = InputBlocks.of(task)
    run = readings(task, reads, 3)[0]
    words, correction = weight_tiles(
        3, task, coded(arch, weight[None], [0]), reads, run, 2, False, 0, 3
    )
    codes = unpack(words, 4, 12)
    # Two groups of two blocks, six steps, two blocks, four columns of three words of four lanes.
    tiles = weight_format("w4").decode(codes).reshape(2, 6, 2, 4, 3, 4)
    for output, channel, row, column in np.ndindex(10, 7, 3, 3):
        step, word = divmod(column * 2 + channel // 4, 3)
        place = (output // 8, row * 2 + step, output // 4 % 2, output % 4, word, channel % 4)
        assert tiles[place] == weight[output, channel, row, column]
    assert np.abs(tiles).sum() == np.abs(weight).sum()
    expected = ShiftGemm.excess(config, weight).sum(axis=(1, 2, 3))
    assert correction.reshape(-1)[:10].tolist() == expected.tolist()
    assert not correction.reshape(-1)[10:].any()


def test_corrections_of_signed_activations_and_passes():
    arch = machine()
    weight = np.array([[[[4]]], [[[-2]]]])
    for signed, expected in ((False, [0, 2 * 255]), (True, [4 * 128, 2 * 255 - 2 * 128])):
        task = convolution(weight, signed=signed)
        reads = InputBlocks.of(task)
        reading = readings(task, reads, 1)[0]
        for shift in (0, 2):
            parts = coded(arch, weight[None], [shift])
            _, correction = weight_tiles(1, task, parts, reads, reading, 1, False, 0, 1)
            assert correction[0, :3].tolist() == [e << shift for e in expected] + [0]


def test_a_kept_tile_counts_for_every_step():
    arch = machine(8, 3)
    weight = np.full((8, 1, 2, 6), -3)
    task = convolution(weight, groups=8, size=(2, 6), pitch=1)
    task = dataclasses.replace(task, groups=8)
    reads = InputBlocks.of(task)
    reading = next(r for r in readings(task, reads, 3) if r.alike and r.steps == 4)
    parts = np.stack([np.full_like(weight, -4), np.full_like(weight, 1)])
    words, correction = weight_tiles(
        3, task, coded(arch, parts, [0, 0]), reads, reading, 1, True, 0, 1
    )
    assert len(words) == 2 * 8
    # 12 taps: 4 * 255 too much each, and 128 * (1 - 4) as activations are signed.
    assert correction.tolist() == [[12 * (4 * 255 - 3 * 128)] * 8]
