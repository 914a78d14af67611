"""The map of the registers as JSON, as a C header and as a table: all from ``rtl.registers``."""

import ast
import inspect
import io
import sys
import tokenize
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from types import ModuleType
from typing import Any

from rtl.dma.registers import (
    BEAT,
    BUFFERS,
    CHANNEL_WORDS,
    CHANNELS,
    DMA_REGION,
    MARKS,
    Buffer,
    BufferRegister,
    ChannelRegister,
    MarkRegister,
    StatusBit,
    TransferError,
    TransferRegister,
)
from rtl.registers import ID, REGION_SHIFT, Control, Error, Region, Register, State

__all__ = ["ENUMERATIONS", "Entry", "c_header", "entries", "register_map", "table"]

ENUMERATIONS: tuple[type[IntEnum], ...] = (
    Register,
    Control,
    State,
    Error,
    Region,
    TransferRegister,
    ChannelRegister,
    StatusBit,
    TransferError,
    BufferRegister,
    Buffer,
    MarkRegister,
)
"""What a host needs to know, the registers first; from ``TransferRegister`` on of machines with
external memory."""

CONSTANTS = {
    "region_shift": REGION_SHIFT,
    "dma_region": DMA_REGION,
    "channels": CHANNELS,
    "channel_words": CHANNEL_WORDS,
    "buffers": BUFFERS,
    "marks": MARKS,
    "beat": BEAT,
}
"""Other numbers that addresses are made of: see ``rtl.registers`` and ``rtl.dma.registers``."""


@dataclass(frozen=True)
class Entry:
    """A member of an enumeration: its name, its value, and the text beside it in the source."""

    name: str
    value: int
    text: str


@cache
def comments(module: ModuleType) -> dict[tuple[str, str], str]:
    """The comment at the end of the line of each member: by class and name."""
    source = inspect.getsource(module)
    texts = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        (kind.name, member.targets[0].id): texts.get(member.end_lineno or 0, "")
        for kind in ast.parse(source).body
        if isinstance(kind, ast.ClassDef)
        for member in kind.body
        if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name)
    }


def entries(kind: type[IntEnum]) -> list[Entry]:
    """The members of an enumeration with their texts, in order.

    >>> entries(Register)[0]
    Entry(name='ID', value=0, text='the constant ID')
    """
    texts = comments(sys.modules[kind.__module__])
    return [Entry(m.name, m.value, texts[kind.__name__, m.name]) for m in kind]


def register_map() -> dict[str, Any]:
    """For JSON: the constants, and the entries of each enumeration by its name.

    Values of ``Register`` are addresses in 32-bit words; a region begins at its value
    ``<< region_shift``.
    """
    return {
        "id": ID,
        **CONSTANTS,
        **{
            kind.__name__.lower(): [asdict(entry) for entry in entries(kind)]
            for kind in ENUMERATIONS
        },
    }


def c_header() -> str:
    """The same as a C header: ``NOMUL_<ENUMERATION>_<MEMBER>``."""
    lines = [
        "/* Registers and constants of a NoMul machine; made by nomul package. */",
        "#ifndef NOMUL_REGISTERS_H",
        "#define NOMUL_REGISTERS_H",
        "",
        f"#define NOMUL_ID 0x{ID:08x}u",
        *(f"#define NOMUL_{name.upper()} {value}u" for name, value in CONSTANTS.items()),
    ]
    for kind in ENUMERATIONS:
        what = "addresses of 32-bit words" if kind is Register else inspect.getdoc(kind)
        lines += ["", f"/* {kind.__name__}: {what} */"]
        for entry in entries(kind):
            text = f" /* {entry.text} */" if entry.text else ""
            lines.append(f"#define NOMUL_{kind.__name__.upper()}_{entry.name} {entry.value}u{text}")
    return "\n".join((*lines, "", "#endif", ""))


def table() -> str:
    """The registers for the documents, in Markdown; offsets in bytes."""
    rows = [f"| {4 * e.value:#04x} | `{e.name}` | {e.text} |" for e in entries(Register)]
    return "\n".join(("| offset | register | holds |", "|---|---|---|", *rows, ""))
