"""Words of a memory as the 32-bit pieces that a host writes, in pure numpy."""

import numpy as np

__all__ = ["pack", "pieces", "unpack"]


WHOLE = (8, 16, 32)
"""Bits of fields that are numbers of numpy."""


def pieces(bits: int) -> int:
    """32-bit pieces that a word of ``bits`` takes on the host port: a power of two.

    >>> [pieces(bits) for bits in (1, 32, 33, 64, 72)]
    [1, 1, 2, 2, 4]
    """
    return 1 << max(0, (bits - 1) // 32).bit_length()


def pack(fields: np.ndarray, bits: int) -> np.ndarray:
    """Fields ``[words, fields]`` of ``bits`` each, the first lowest, as uint32 pieces.

    Negative values are stored in two's complement. Returns ``[words, pieces]``.

    >>> pack(np.array([[1, 2, -1]]), 4).tolist()
    [[3873]]
    """
    fields = np.asarray(fields, np.int64)
    words, count = fields.shape
    if bits in WHOLE:
        # Bits of each field by itself would take a host a hundred times as long.
        held = fields.astype(f"<u{bits // 8}", order="C").view(np.uint8)
        content = np.zeros((words, pieces(count * bits) * 4), np.uint8)
        content[:, : held.shape[1]] = held
        return content.view("<u4")
    planes = (fields[:, :, None] >> np.arange(bits)) & 1
    flat = np.zeros((words, pieces(count * bits) * 32), np.uint8)
    flat[:, : count * bits] = planes.reshape(words, count * bits)
    return np.packbits(flat, axis=1, bitorder="little").view("<u4")


def unpack(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The ``count`` unsigned fields of each word, the inverse of :func:`pack`: int64.

    >>> unpack(np.array([[3873]], np.uint32), 4, 3).tolist()
    [[1, 2, 15]]
    """
    words = np.ascontiguousarray(words, "<u4")
    flat = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    planes = flat[:, : count * bits].reshape(len(words), count, bits).astype(np.int64)
    return (planes << np.arange(bits)).sum(axis=2)
