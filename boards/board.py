"""The boards: what a package needs to know of each, one data-only TOML file a board."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant.errors import NoMulError

__all__ = ["Board", "Memory", "Pin", "Processor", "Serial", "board_names", "load_board"]

_FOLDER = Path(__file__).with_name("definitions")

KINDS = ("ps7", "ps8")


@dataclass(frozen=True)
class Pin:
    """A pin of the package, its I/O standard, and where that is written."""

    pin: str
    standard: str
    source: str


@dataclass(frozen=True)
class Processor:
    """The processing system of a Zynq, as the programmable logic sees it.

    Parameters
    ----------
    kind : str
        ``ps7`` (Zynq-7000) or ``ps8`` (Zynq UltraScale+).
    reference_mhz : float
        Clock from which its PLLs make those of the logic.
    base : int
        Address of the machine's registers, the first of the master port that is used.
    interrupt : int
        Number of the interrupt line at the interrupt controller.
    memory_ports, memory_port_bits : int
        High-performance ports, and the bits of their beats.
    source : str
    """

    kind: str
    reference_mhz: float
    base: int
    interrupt: int
    memory_ports: int
    memory_port_bits: int
    source: str


@dataclass(frozen=True)
class Serial:
    """The serial port of a board without a processor, and its clocks.

    Parameters
    ----------
    reference_mhz, clock_mhz : float
        Of the oscillator, and the machine's that a PLL makes of it.
    baud : int
    source : str
    """

    reference_mhz: float
    clock_mhz: float
    baud: int
    source: str


@dataclass(frozen=True)
class Memory:
    """External memory: its size, the bits of its bus, and where that is written."""

    megabytes: int
    bus_bits: int
    source: str


@dataclass(frozen=True)
class Board:
    """A board.

    Parameters
    ----------
    key : str
        The name of its file, by which users name it.
    name, maker : str
    part : str
        The chip, as ``boards/parts`` names it.
    device : str
        The chip with package and speed grade, as its vendor's tools name it.
    architecture : str
        The machine for which networks are compiled if none is named.
    source : str
        The document that says so.
    host : Processor or Serial
    memory : Memory
    pins : dict of name to Pin
    """

    key: str
    name: str
    maker: str
    part: str
    device: str
    architecture: str
    source: str
    host: Processor | Serial
    memory: Memory
    pins: dict[str, Pin]


def board_names() -> list[str]:
    """Names of all boards."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_board(name: str) -> Board:
    """The board of a name, upper or lower case.

    Errors: :class:`NoMulError` if there is none, or its file is wrong.
    """
    key = name.lower()
    if key not in board_names():
        raise NoMulError(f"no board {name}: take one of {', '.join(board_names())}")
    try:
        table = tomllib.loads((_FOLDER / f"{key}.toml").read_text())
    except tomllib.TOMLDecodeError as error:
        raise NoMulError(f"board file {key}.toml is no TOML: {error}") from error
    return board_of(key, table)


def board_of(key: str, table: dict[str, Any]) -> Board:
    """A board from its description. Errors: :class:`NoMulError` with key and what is allowed."""
    where = f"board file {key}.toml"
    hosts = [name for name in ("ps", "serial") if name in table]
    if len(hosts) != 1:
        raise NoMulError(f"{where}: give one of the tables ps and serial")
    (host,) = hosts
    kind = Processor if host == "ps" else Serial
    texts = ("name", "maker", "part", "device", "architecture", "source")
    check(table, dict.fromkeys(texts, str) | {host: dict, "memory": dict}, where, {"pins": dict})
    pins = {
        name: made(Pin, pin, f"{where} [pins.{name}]")
        for name, pin in table.get("pins", {}).items()
    }
    processor = made(kind, table[host], f"{where} [{host}]")
    if isinstance(processor, Processor) and processor.kind not in KINDS:
        raise NoMulError(
            f"{where} [ps]: kind = {processor.kind!r} is unknown; take one of {', '.join(KINDS)}"
        )
    return Board(
        key=key,
        **{name: table[name] for name in texts},
        host=processor,
        memory=made(Memory, table["memory"], f"{where} [memory]"),
        pins=pins,
    )


def made(kind: type, table: Any, where: str) -> Any:
    """A dataclass out of a table with exactly its fields; numbers are positive."""
    wanted = {field.name: field.type for field in dataclasses.fields(kind)}
    check(table, wanted, where)
    return kind(**table)


def check(
    table: Any, wanted: dict[str, Any], where: str, optional: dict[str, Any] | None = None
) -> None:
    """Refuse a key too many or too few, another type, an empty text, a number below 1."""
    if not isinstance(table, dict):
        raise NoMulError(f"{where} must be a table with the keys {', '.join(sorted(wanted))}")
    allowed = wanted | (optional or {})
    for key in sorted(set(table) - set(allowed)):
        raise NoMulError(f"{where}: key {key} is unknown; the keys are {', '.join(allowed)}")
    for key in sorted(set(wanted) - set(table)):
        raise NoMulError(f"{where}: key {key} is missing; add it")
    for key, value in table.items():
        if type(value) is not allowed[key]:
            raise NoMulError(f"{where}: {key} = {value!r} must be a {allowed[key].__name__}")
        if value == "" or (type(value) in (int, float) and value < 1):
            raise NoMulError(f"{where}: {key} = {value!r} says nothing; give the board's own")
