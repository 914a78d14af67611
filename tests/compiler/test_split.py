import numpy as np
import pytest

from compiler.layout import Layout
from compiler.split import (
    SplitLayouts,
    first_keys,
    pack_split_parameters,
    packed_layout,
    regrouped,
    sub_words,
    unpack_split_parameters,
)
from quant.numbers import Format
from quant.stochastic import channel_keys
from rtl.packing import pack
from rtl.split.parts import part_count, sum_bits
from rtl.split.requantize import block_parameters
from sim.bench import plain

FIELDS = 4


@pytest.mark.parametrize("channels", [1, 4, 5, 16, 37])
@pytest.mark.parametrize("width", range(3))
def test_layout(channels, width):
    layout = packed_layout(channels, FIELDS, width)
    parts = part_count(width)
    assert layout.lanes == FIELDS * parts
    assert layout.blocks == -(-channels // layout.lanes)
    for channel, slot in enumerate(layout.place.tolist()):
        block, lane = divmod(slot, layout.lanes)
        field, part = divmod(lane, parts)
        assert channel == (block * parts + part) * FIELDS + field


@pytest.mark.parametrize("channels", [3, 16, 20])
def test_the_same_channels_at_all_widths(channels):
    """Also of a concatenation, whose words have parts that hold nothing."""
    layouts = SplitLayouts(FIELDS, part_count(0))
    formats = [Format(bits, True, 0) for bits in (8, 16, 32)]
    usual = [layouts.usual(channels, fmt) for fmt in formats]
    both = [Layout.concatenate([layout, layout]) for layout in usual]
    for same in (usual, both):
        for fmt, layout in zip(formats, same, strict=True):
            assert [layouts.like(other, fmt) for other in same] == [layout] * 3


def test_regrouping_fills_up():
    assert regrouped(packed_layout(9, FIELDS, 2), FIELDS, 0) == packed_layout(9, FIELDS, 0)


def test_keys_of_blocks():
    """Those of their first channels, and of a part of a concatenation too."""
    one = packed_layout(20, FIELDS, 0)
    keys = channel_keys(40)
    assert first_keys(one).tolist() == [keys[0], keys[16]]
    both = Layout.concatenate([one, one])
    assert first_keys(both).tolist() == keys[[0, 16, 20, 36]].tolist()


def test_blocks_of_whole_words():
    assert sub_words(5, [1, 1]) == 5
    assert sub_words(5, [2, 4]) == 8
    assert sub_words(1, [4]) == 1


@pytest.mark.parametrize("width", range(3))
@pytest.mark.parametrize("place_bits", [24, 28])
def test_parameters(place_bits, width):
    rng = np.random.default_rng(width)
    half = 1 << sum_bits(place_bits, width) - 1
    shape = (5, FIELDS * part_count(width))
    bias = rng.integers(-half, half - 1, shape)
    bias[0], bias[1] = -half, half - 1
    shift = rng.integers(0, 64, shape)
    keys = rng.integers(0, 1 << 32, 5)
    words = pack_split_parameters(place_bits, width, bias, shift, keys)
    layout = block_parameters(place_bits, FIELDS)
    assert words.shape == (5, pack(np.zeros((1, layout.size)), 1).shape[1])
    found = unpack_split_parameters(place_bits, width, words, FIELDS)
    for each, expected in zip(found, (bias, shift, keys), strict=True):
        assert np.array_equal(each, expected)
    # As the machine sees them.
    bits = int.from_bytes(words[2].astype("<u4").tobytes(), "little") % (1 << layout.size)
    seen = plain(layout.from_bits(bits))
    assert seen["key"] == keys[2]
    part = part_count(width) - 1
    place = part << width
    lane = FIELDS - 1
    slot = lane * part_count(width) + part
    assert seen["fields"][lane]["shift"][place] == shift[2, slot]
    value = seen["fields"][lane]["bias"] >> place * place_bits
    assert value % (2 * half) == int(bias[2, slot]) % (2 * half)
