"""Registers of the channels, declared once: hardware, driver and documents read this list."""

from enum import IntEnum

__all__ = [
    "BEAT",
    "BUFFERS",
    "CHANNELS",
    "CHANNEL_WORDS",
    "DMA_REGION",
    "MARKS",
    "MARK_COUNT",
    "Buffer",
    "BufferRegister",
    "ChannelRegister",
    "MarkRegister",
    "StatusBit",
    "TransferError",
    "TransferRegister",
    "buffer_address",
    "channel_address",
    "mark_address",
    "start_word",
]

DMA_REGION = 5
"""The region of the host's addresses in which they stand."""


class TransferRegister(IntEnum):
    """The transfer that a write to START pushes; these can only be written."""

    OFFSET = 0  # bytes in the buffer, a multiple of a beat's
    ADDRESS = 1  # first word of the region
    SHAPE = 2  # words of a row in bits 0-15, rows in bits 16-31
    MEMORY_STRIDE = 3  # bytes from row to row, a multiple of a beat's
    ADDRESS_STRIDE = 4  # words from row to row


BEAT = 8
"""Bytes of a beat, the unit of addresses in external memory."""

CHANNELS = 2

CHANNEL_WORDS = 16
"""Words of the registers of a channel; those of channel c stand ``(1 + c) * CHANNEL_WORDS`` on."""


class ChannelRegister(IntEnum):
    """Of a channel. START and RESET can be written, the others read."""

    STATUS = 0  # StatusBit; TransferError in bits 8-15
    TRANSFERS = 1  # transfers ended since the reset
    BUSY = 2  # cycles in which the channel was not idle
    BEATS = 3  # beats that passed
    WAITS = 4  # cycles in which a word waited for the machine's memory
    START = 8  # written: buffer in bits 0-7, Region in bits 8-15, bit 16 for a store
    RESET = 9  # written: any value


class StatusBit(IntEnum):
    """Bits of STATUS."""

    IDLE = 0  # no transfer waits or is under way, nor is a reset
    ROOM = 1  # START will be taken; without it, it is not
    LOST = 2  # a START was not taken; until RESET


class TransferError(IntEnum):
    """Why a channel has stopped."""

    NONE = 0
    NO_SUCH_REGION = 1  # or one that cannot be stored: FEATURES only can
    EMPTY = 2  # no words or no rows
    OUTSIDE_REGION = 3
    OUTSIDE_BUFFER = 4  # or the buffer lies outside the address space
    READ_SLVERR = 5
    READ_DECERR = 6
    WRITE_SLVERR = 7
    WRITE_DECERR = 8


class Buffer(IntEnum):
    """Pieces of external memory, by number."""

    PROGRAM = 0  # all instructions
    WEIGHTS = 1  # words of weights and parameters
    FEATURES = 2  # all tensors


class BufferRegister(IntEnum):
    """A piece of external memory; these can only be written."""

    BASE = 0  # address of its first byte, a multiple of a beat's
    SIZE = 1  # bytes, a multiple of a beat's


BUFFERS = 64
"""The registers of buffer b stand ``BUFFERS + 2 * b`` on."""


class MarkRegister(IntEnum):
    """What ``MARK`` notes; these can only be read. What none has noted is left from before."""

    CYCLES = 0  # of the program so far
    WAITS = 1  # cycles of them in which the program waited for transfers and no run was under way


MARKS = 1024
"""The registers of the mark with index m stand ``MARKS + 2 * m`` on."""

MARK_COUNT = 512


def channel_address(channel: int, register: ChannelRegister) -> int:
    """Word of a channel's register in the region.

    >>> channel_address(1, ChannelRegister.START)
    40
    """
    return (1 + channel) * CHANNEL_WORDS + register


def buffer_address(buffer: int, register: BufferRegister) -> int:
    """Word of a buffer's register in the region.

    >>> buffer_address(Buffer.WEIGHTS, BufferRegister.SIZE)
    67
    """
    return BUFFERS + 2 * buffer + register


def mark_address(index: int, register: MarkRegister) -> int:
    """Word of a mark's register in the region.

    >>> mark_address(3, MarkRegister.WAITS)
    1031
    """
    return MARKS + 2 * index + register


def start_word(base: int, region: int, store: bool) -> int:
    """What is written to START.

    >>> hex(start_word(base=3, region=4, store=True))
    '0x10403'
    """
    return base | region << 8 | int(store) << 16
