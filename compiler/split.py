"""Tensors of machines whose codes split: where channels stand in fields, and how wide runs are."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.layout import UNUSED, Layout, Layouts
from compiler.nest import Level, Walk
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile
from quant.errors import NoMulError
from quant.numbers import Format
from quant.quantized import QConv, QLayer
from quant.stochastic import CHANNEL_STEP, NOISE_BITS
from rtl.packing import pack, unpack
from rtl.split.parts import FIELD, PARTS, Width, part_count, places, sum_bits, width_bits
from rtl.split.requantize import SHIFT_BITS, field_parameters

__all__ = [
    "SplitLayouts",
    "first_keys",
    "pack_split_parameters",
    "packed_layout",
    "run_output",
    "run_view",
    "run_width",
    "sub_words",
    "unpack_split_parameters",
    "walk_of",
    "width_code",
]


def width_code(bits: int) -> int:
    """The narrowest :class:`~rtl.split.parts.Width` that holds codes of ``bits``.

    >>> [width_code(bits) for bits in (2, 8, 9, 32)]
    [0, 0, 1, 2]
    """
    return next(width.value for width in Width if bits <= width_bits(width.value))


def packed_layout(channels: int, fields: int, width: int, multiple: int = 1) -> Layout:
    """Channel ``c`` in field ``c % fields``, part ``c // fields % parts``, the rest the block.

    So few channels leave the later parts of all fields empty, and the same channels are neighbours
    at all widths. ``multiple`` of fields are filled up with blocks that hold nothing.

    >>> packed_layout(5, 2, 1).slots
    (0, 2, 1, 3, 4, -1, -1, -1)
    """
    parts = part_count(width)
    size = fields * max(parts, multiple)
    padded = -(-channels // size) * size
    numbers = np.arange(padded)
    numbers[channels:] = UNUSED
    slots = numbers.reshape(-1, parts, fields).swapaxes(1, 2).reshape(-1)
    return Layout(fields * parts, tuple(slots.tolist()))


@dataclass(frozen=True)
class SplitLayouts(Layouts):
    """Layouts of a machine whose words have ``lanes`` fields.

    Tensors are filled up to whole words of the narrowest one, which holds ``multiple`` codes a
    field, so that a run that writes such a word part by part fills the words of all others.
    """

    multiple: int

    def usual(self, channels: int, fmt: Format) -> Layout:
        return packed_layout(channels, self.lanes, width_code(fmt.bits), self.multiple)

    def like(self, layout: Layout, fmt: Format) -> Layout:
        return regrouped(layout, self.lanes, width_code(fmt.bits))


def regrouped(layout: Layout, fields: int, width: int) -> Layout:
    """The same channels in the same fields and order, in words of another width.

    >>> regrouped(packed_layout(5, 2, 1), 2, 0) == packed_layout(5, 2, 0)
    True
    """
    own, parts = layout.lanes // fields, part_count(width)
    rows = np.array(layout.slots).reshape(-1, fields, own).swapaxes(1, 2).reshape(-1, fields)
    rows = np.pad(rows, ((0, -len(rows) % parts), (0, 0)), constant_values=UNUSED)
    slots = rows.reshape(-1, parts, fields).swapaxes(1, 2).reshape(-1)
    return Layout(fields * parts, tuple(slots.tolist()))


def sub_words(blocks: int, ratios: Sequence[int]) -> int:
    """Blocks of a run, so many at least that they are whole words of all narrower tensors.

    ``ratios`` are the blocks that a word of each tensor holds. The blocks of one word need not be
    all: of several words each must be full.

    >>> sub_words(3, [4, 1]), sub_words(3, [4, 2]), sub_words(5, [4])
    (3, 4, 8)
    """
    while any(blocks > ratio and blocks % ratio for ratio in ratios):
        blocks += 1
    return blocks


def run_view(
    tensor: PlacedTensor, fields: int, width: int, blocks: int | None = None
) -> PlacedTensor:
    """A tensor as a run of ``width`` sees it: parts of its words as blocks of their own.

    ``blocks``: how many of them, where not all.
    """
    layout = regrouped(tensor.layout, fields, width)
    if blocks is not None:
        layout = Layout(layout.lanes, layout.slots[: blocks * layout.lanes])
    return dataclasses.replace(tensor, layout=layout)


def run_width(layer: QLayer, tensors: Sequence[PlacedTensor]) -> int:
    """The narrowest width that holds a layer's tensors, and its weights where it has some.

    Errors: :class:`NoMulError` for weights of more than 32 bits.
    """
    widths = [width_code(tensor.format.bits) for tensor in tensors]
    if isinstance(layer, QConv):
        low, high = int(layer.weight.min(initial=0)), int(layer.weight.max(initial=0))
        bits = max(high.bit_length(), (-low - 1).bit_length() if low else 0) + 1
        if bits > FIELD:
            raise NoMulError(
                f"layer {layer.name}: weights of {bits} bits, a field has {FIELD}; quantize it "
                f"again"
            )
        widths.append(width_code(bits))
    return max(widths)


def run_output(
    output: PlacedTensor, fields: int, width: int, others: Sequence[PlacedTensor]
) -> PlacedTensor:
    """The output of a run of ``width`` in the run's blocks, as many as are needed.

    ``others`` are read block by block, as a residual is.
    """
    lanes = fields * part_count(width)
    used = run_view(output, fields, width).layout
    needed = int(used.used.max()) // used.lanes + 1
    ratios = [tensor.layout.lanes // lanes for tensor in (output, *others)]
    return run_view(output, fields, width, sub_words(needed, ratios))


def first_keys(layout: Layout) -> np.ndarray:
    """The noise's key of the first channel of each block, 0 without any: int64 ``[blocks]``.

    In a block channels follow each other part by part, whatever tensors it is part of.
    """
    first = np.array(layout.slots).reshape(-1, layout.lanes)[:, 0]
    return np.maximum(first, 0) * CHANNEL_STEP & (1 << NOISE_BITS) - 1


def walk_of(tile: Tile, tensor: PlacedTensor, ratio: int) -> Walk:
    """Words of a tensor of which each holds ``ratio`` blocks of a run, in the order
    [column][row][block of the word][word]."""
    width, pitch = tensor.shape[2], tensor.pitch
    of_word = min(ratio, tile.blocks)
    return Walk(
        (
            Level(tile.columns, pitch),
            Level(tile.rows, width * pitch),
            Level(of_word),
            Level(tile.blocks // of_word, 1),
        ),
        tensor.address + (tile.row * width + tile.column) * pitch,
    )


def pack_split_parameters(
    place_bits: int, width: int, bias: np.ndarray, shift: np.ndarray, keys: np.ndarray
) -> np.ndarray:
    """Parameter words of blocks, see :func:`rtl.split.requantize.block_parameters`.

    Parameters
    ----------
    place_bits, width : int
    bias, shift : int [blocks, lanes * parts]
        Part 0 of field 0 first.
    keys : int [blocks]

    Returns
    -------
    uint32 [blocks, pieces]
    """
    parts, bits = part_count(width), sum_bits(place_bits, width)
    size = field_parameters(place_bits).size
    bias = np.asarray(bias, np.int64).reshape(len(bias), -1, parts)
    shift = np.asarray(shift, np.int64).reshape(bias.shape)
    planes = np.zeros((*bias.shape[:2], size), np.int64)
    for part, place in enumerate(places(width)):
        for values, first, count in (
            (bias, place * place_bits, bits),
            (shift, PARTS * place_bits + place * SHIFT_BITS, SHIFT_BITS),
        ):
            planes[..., first : first + count] = values[..., part, None] >> np.arange(count) & 1
    key = np.asarray(keys, np.int64)[:, None] >> np.arange(NOISE_BITS) & 1
    return pack(np.concatenate([planes.reshape(len(bias), -1), key], axis=1), 1)


def unpack_split_parameters(
    place_bits: int, width: int, words: np.ndarray, lanes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of :func:`pack_split_parameters`: int64."""
    parts, bits = part_count(width), sum_bits(place_bits, width)
    size = field_parameters(place_bits).size
    flat = unpack(words, 1, lanes * size + NOISE_BITS)
    keys = flat[:, lanes * size :] @ (np.int64(1) << np.arange(NOISE_BITS))
    planes = flat[:, : lanes * size].reshape(len(words), lanes, size)
    bias = np.zeros((len(words), lanes, parts), np.int64)
    shift = np.zeros_like(bias)
    # The highest plane is that of the sign.
    weights = np.int64(1) << np.arange(bits)
    weights[-1] = np.int64(-1) << bits - 1
    for part, place in enumerate(places(width)):
        at, shift_at = place * place_bits, PARTS * place_bits + place * SHIFT_BITS
        bias[..., part] = planes[..., at : at + bits] @ weights
        shift[..., part] = planes[..., shift_at : shift_at + SHIFT_BITS] @ (
            np.int64(1) << np.arange(SHIFT_BITS)
        )
    return bias.reshape(len(words), -1), shift.reshape(len(words), -1), keys
