import dataclasses

import numpy as np
import pytest

from compiler import mapping
from compiler.layout import Layout
from compiler.mapping import Convolution
from compiler.mapping.shift_gemm import InputBlocks
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format
from rtl.architecture import load_architecture
from rtl.isa import LEVELS, Nest

TINY = load_architecture("tiny")


def convolution(weight, window=None, groups=1, size=(5, 5), layouts=(None, None), signed=True):
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    window = window or Window(weight.shape[2:])
    layouts = [
        layout or Layout.default(count, TINY.lanes)
        for layout, count in zip(layouts, (inputs, outputs))
    ]
    fmt = Format(8, signed, 0)
    source = PlacedTensor("x", (inputs, *size), fmt, 0, layouts[0])
    target = PlacedTensor("y", (outputs, *window.output_size(*size)), fmt, 1024, layouts[1])
    return Convolution("layer", weight, window, groups, source, target)


def test_found_by_name():
    assert mapping.find("shift_gemm").__name__ == "compiler.mapping.shift_gemm"
    with pytest.raises(NoMulError, match="no mapping for the engine nonesuch"):
        mapping.find("nonesuch")


def test_passes_follow_the_layer():
    engine = mapping.find("shift_gemm")
    for weights, passes in (([1, -64], 1), ([3, 64], 2), ([85, -128], 4)):
        weight = np.array(weights).reshape(2, 1, 1, 1)
        mapped = engine.map_convolution(TINY, convolution(weight))
        assert len(mapped.passes) == passes
        assert len(mapped.weights) == passes * TINY.lanes
        assert mapped.correction.shape == (TINY.lanes,)


def test_correction():
    weight = np.array([[[[4]]], [[[-2]]]])
    engine = mapping.find("shift_gemm")
    unsigned = engine.map_convolution(TINY, convolution(weight, signed=False))
    assert unsigned.correction[:3].tolist() == [0, 2 * 255, 0]
    signed = engine.map_convolution(TINY, convolution(weight))
    assert signed.correction[:3].tolist() == [4 * 128, 2 * 255 - 2 * 128, 0]


def test_nests_have_the_machine_s_levels():
    mapped = mapping.find("shift_gemm").map_convolution(
        TINY, convolution(np.ones((9, 9, 3, 3), int), size=(40, 40))
    )
    assert [run.tile.rows for run in mapped.runs] == [6, 6, 6, 6, 6, 6, 2]
    for run in mapped.runs:
        assert len(run.activations.levels) == LEVELS[Nest.ACTIVATION]
        assert len(run.sums.levels) == LEVELS[Nest.SUM]
        assert run.activations.words == run.sums.words
        assert run.weights.words == len(mapped.weights)
        assert run.settings["last_vector"] + 1 == run.tile.rows * run.tile.columns


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


def test_out_of_reach():
    coarse = dataclasses.replace(TINY, pass_shift_bits=0)
    with pytest.raises(
        NoMulError, match=r"layer layer: a weight needs the term 2\*\*7, tiny reaches 2\*\*6; raise"
    ):
        mapping.find("shift_gemm").map_convolution(
            coarse, convolution(np.array([[[[-128]]], [[[1]]]]))
        )


def test_too_many_passes():
    narrow = dataclasses.replace(
        TINY,
        pass_shift_bits=4,
        engine_config=dataclasses.replace(TINY.engine_config, term_bits=2),
    )
    # Powers 0 .. 15 each in a weight, and most of them in one: a pass each.
    weight = np.array([0x5555, 0xAAAA, 1 << 15]).reshape(3, 1, 1, 1)
    engine = mapping.find("shift_gemm")
    assert len(engine.map_convolution(narrow, convolution(weight)).passes) == 16
    with pytest.raises(NoMulError, match=r"layer layer: a weight needs the term 2\*\*16"):
        engine.map_convolution(narrow, convolution(weight * 2))
