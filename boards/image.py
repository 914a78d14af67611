"""The image: one file with all that a host needs to run a network on a machine."""

import zlib
from dataclasses import dataclass

import numpy as np

from quant.errors import NoMulError
from quant.numbers import Format
from rtl.dma.registers import Buffer
from rtl.packing import pack, unpack
from rtl.registers import Region

__all__ = ["FORMAT", "MAGIC", "Image", "Load", "Place", "Room"]

MAGIC = 0x694D6F4E  # "NoMi"
FORMAT = 2
HEADER_WORDS = 12
ENTRY_WORDS = 8
LOAD, INPUT, OUTPUT, BUFFER = 1, 2, 3, 4
ALIGNMENT = 8
"""Bytes: contents begin at such multiples, so that a 64-bit port can read them in place."""
NOTHING = -1

SIGNED, LOGARITHMIC, PARTS = 1, 2, 2
"""Flags of a format, and the first bit of log2 of a lane's codes; the format's bits stand in bits
8-15, its fraction in bits 16-31, signed."""


@dataclass(frozen=True)
class Load:
    """Words that a memory holds before the first start.

    Parameters
    ----------
    region : Region
    address : int
        The first word's.
    words : uint32 [words, pieces]
    """

    region: Region
    address: int
    words: np.ndarray


@dataclass(frozen=True)
class Room:
    """A buffer in external memory.

    Parameters
    ----------
    buffer : Buffer
    size : int
        Bytes, a multiple of a beat's.
    content : uint32 [words]
        What it holds from its beginning on before the first start.
    """

    buffer: Buffer
    size: int
    content: np.ndarray


@dataclass(frozen=True)
class Place:
    """Where a tensor stands among the features, code by code.

    Parameters
    ----------
    shape : (channels, height, width)
    format : Format
    address, words : int
        Of the feature memory, or of the buffer of features; ``lanes`` codes each.
    index : int32
        Of an input ``[words * lanes]``: the code in each lane, as its place in the flat tensor, or
        -1 for 0. Of an output ``[channels * height * width]``: the lane of each code.
    parts : int
        Codes that a lane of the image holds, 1, 2 or 4: its bits are shared between them, and they
        are the lanes of this tensor.
    """

    shape: tuple[int, int, int]
    format: Format
    address: int
    words: int
    index: np.ndarray
    parts: int = 1

    def spread(self, codes: np.ndarray, lanes: int, bits: int) -> np.ndarray:
        """Codes of an input as memory words: uint32 ``[words, pieces]``."""
        lanes, bits = lanes * self.parts, bits // self.parts
        flat = np.append(np.asarray(codes, np.int64).reshape(-1) & (1 << bits) - 1, 0)
        return pack(flat[self.index].reshape(self.words, lanes), bits)

    def gather(self, words: np.ndarray, lanes: int, bits: int) -> np.ndarray:
        """Codes ``[channels, height, width]`` of an output out of its memory words."""
        lanes, bits = lanes * self.parts, bits // self.parts
        codes = unpack(words, bits, lanes).reshape(-1)[self.index]
        if self.format.signed:
            codes = codes - ((codes >> bits - 1) << bits)
        return codes.reshape(self.shape)


@dataclass(frozen=True)
class Image:
    """A network as a host sees it.

    The file is little-endian and consists of 32-bit words: a header of ``HEADER_WORDS``, a table of
    entries of ``ENTRY_WORDS``, and contents that the entries name by byte. Header: magic, version
    of this format, bytes of the file, CRC-32 of all behind this word, fingerprint of the machine,
    version of its instructions, predicted cycles (two words), lanes, bits of a code, entries,
    beats. Entry of a load: 1, region, address, words, pieces, byte, 0, 0; of the input and the
    output: 2 or 3, channels, height, width, address, words, byte, format; of a buffer: 4, buffer,
    bytes, words, byte, 0, 0, 0.

    Parameters
    ----------
    fingerprint, version : int
        Of the machine that it was made for.
    cycles : int
        Predicted for a run.
    lanes, bits : int
        Codes of a feature word, and their width.
    loads : tuple of Load
    input, output : Place
    beats : int
        Beats of a feature word in external memory; 0 where tensors stand in the feature memory.
    buffers : tuple of Room
        Of a machine with external memory.
    """

    fingerprint: int
    version: int
    cycles: int
    lanes: int
    bits: int
    loads: tuple[Load, ...]
    input: Place
    output: Place
    beats: int = 0
    buffers: tuple[Room, ...] = ()

    def to_bytes(self) -> bytes:
        """The file's content."""
        rows: list[list[int]] = []
        contents: list[bytes] = []
        place = 4 * (HEADER_WORDS + ENTRY_WORDS * (len(self.loads) + len(self.buffers) + 2))

        def append(array: np.ndarray, kind: str) -> int:
            nonlocal place
            content = np.ascontiguousarray(array, kind).tobytes()
            contents.append(content + bytes(-len(content) % ALIGNMENT))
            place += len(contents[-1])
            return place - len(contents[-1])

        place += -place % ALIGNMENT
        start = place
        for load in self.loads:
            words, pieces = load.words.shape
            at = append(load.words, "<u4")
            rows.append([LOAD, load.region, load.address, words, pieces, at, 0, 0])
        for room in self.buffers:
            at = append(room.content, "<u4")
            rows.append([BUFFER, room.buffer, room.size, len(room.content), at, 0, 0, 0])
        for kind, tensor in ((INPUT, self.input), (OUTPUT, self.output)):
            at = append(tensor.index, "<i4")
            rows.append(
                [
                    kind,
                    *tensor.shape,
                    tensor.address,
                    tensor.words,
                    at,
                    flags(tensor.format, tensor.parts),
                ]
            )
        rest = [self.fingerprint, self.version, self.cycles & 0xFFFFFFFF, self.cycles >> 32]
        rest += [self.lanes, self.bits, len(rows), self.beats]
        table = np.array(rest + [word for row in rows for word in row], "<u4").tobytes()
        body = table + bytes(start - 16 - len(table)) + b"".join(contents)
        head = np.array([MAGIC, FORMAT, len(body) + 16, zlib.crc32(body)], "<u4")
        return head.tobytes() + body

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "image") -> "Image":
        """Read a file's content. Error: :class:`NoMulError` for a damaged or another file."""
        if len(content) < 4 * HEADER_WORDS or len(content) % 4:
            raise NoMulError(f"{name} is no image of a network; package the network again")
        words = np.frombuffer(content, "<u4")
        head = [int(word) for word in words[:HEADER_WORDS]]
        magic, form, size, check = head[:4]
        if magic != MAGIC:
            raise NoMulError(f"{name} is no image of a network; package the network again")
        if form != FORMAT:
            raise NoMulError(
                f"{name} is an image of format {form}, this driver reads {FORMAT}; take the driver "
                "of the same package"
            )
        if size != len(content) or check != zlib.crc32(content[16:]):
            raise NoMulError(f"{name} is damaged (its checksum is wrong); copy it again")
        fingerprint, version, low, high, lanes, bits, count, beats = head[4:]
        table = words[HEADER_WORDS : HEADER_WORDS + ENTRY_WORDS * count].reshape(count, -1)
        loads, rooms, tensors = [], [], {}
        for kind, *row in table.tolist():
            if kind == LOAD:
                region, address, number, pieces, at, _, _ = row
                held = words[at // 4 : at // 4 + number * pieces].reshape(number, pieces)
                loads.append(Load(Region(region), address, held))
            elif kind == BUFFER:
                buffer, size, number, at, *_ = row
                rooms.append(Room(Buffer(buffer), size, words[at // 4 : at // 4 + number]))
            else:
                channels, height, width, address, number, at, form = row
                split = 1 << (form >> PARTS & 3)
                length = number * lanes * split if kind == INPUT else channels * height * width
                index = words[at // 4 : at // 4 + length].view("<i4")
                shape = (channels, height, width)
                tensors[kind] = Place(shape, format_of(form), address, number, index, split)
        cycles = low | high << 32
        ends = (tensors[INPUT], tensors[OUTPUT])
        parts = (tuple(loads), *ends, beats, tuple(rooms))
        return cls(fingerprint, version, cycles, lanes, bits, *parts)


def flags(form: Format, parts: int = 1) -> int:
    """A format as a word, with the codes that a lane holds.

    >>> hex(flags(Format(8, True, -1))), format_of(flags(Format(8, True, -1)))
    ('0xffff0801', Format(bits=8, signed=True, fraction=-1, logarithmic=False))
    """
    signs = SIGNED * form.signed | LOGARITHMIC * form.logarithmic
    return (form.fraction & 0xFFFF) << 16 | form.bits << 8 | parts.bit_length() - 1 << PARTS | signs


def format_of(word: int) -> Format:
    """The inverse of :func:`flags`."""
    fraction = (word >> 16) - (word >> 31 << 16)
    return Format(word >> 8 & 0xFF, bool(word & SIGNED), fraction, bool(word & LOGARITHMIC))
