"""The parts: how much of everything there is on a chip, one TOML file each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from boards.resources import FAMILIES, Resources
from quant.errors import NoMulError

__all__ = ["Part", "load_part", "part_names"]

_FOLDER = Path(__file__).with_name("parts")
_COUNTS = ("lut", "ff", "carry", "dsp", "bram", "uram")


@dataclass(frozen=True)
class Part:
    """A chip: its name without package, Yosys's family, and what it has.

    ``available.lutram`` is 0: memory takes look-up tables, of which ``available.lut`` counts all.
    """

    name: str
    family: str
    available: Resources


def part_names() -> list[str]:
    """Names of all parts."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_part(name: str) -> Part:
    """The part of a name, upper or lower case.

    Raises
    ------
    NoMulError
        If there is none, or its file is wrong.
    """
    path = _FOLDER / f"{name.lower()}.toml"
    if name.lower() not in part_names():
        raise NoMulError(f"no part {name}: take one of {', '.join(part_names())}")
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise NoMulError(f"part file {path.name} is no TOML: {error}") from error
    return _part(path.stem, table)


def _part(name: str, table: dict) -> Part:
    where = f"part file {name}.toml"
    keys = {"family", *_COUNTS}
    if set(table) != keys:
        odd = sorted(set(table) ^ keys)[0]
        fault = "is unknown" if odd in table else "is missing"
        raise NoMulError(f"{where}: key {odd} {fault}; the keys are {', '.join(sorted(keys))}")
    if table["family"] not in FAMILIES:
        raise NoMulError(
            f"{where}: family {table['family']} is unknown; take one of {', '.join(FAMILIES)}"
        )
    for key in _COUNTS:
        value = table[key]
        least = 0 if key == "uram" else 1
        if type(value) is not int or value < least:
            raise NoMulError(f"{where}: {key} is {value!r}, not a whole number of {least} or more")
    return Part(name, table["family"], Resources(**{key: table[key] for key in _COUNTS}))
