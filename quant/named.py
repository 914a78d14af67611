"""Finding things by name where a name may carry parameters: ``log4``, ``percentile99.9``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quant.errors import NoMulError

__all__ = ["Named", "find"]


@dataclass(frozen=True)
class Named:
    """One thing that can be asked for by name.

    Parameters
    ----------
    pattern : str
        Regular expression of its whole name; named groups are its parameters.
    usage : str
        How a person writes the name, for messages: ``"log<b> (b = 2..6)"``.
    target : object
        What is found.
    """

    pattern: str
    usage: str
    target: Any


def find(
    kind: str, name: str, choices: Iterable[Named], remark: str = ""
) -> tuple[Any, dict[str, str]]:
    """Target and parameters (those given) of the choice whose pattern matches ``name``.

    Errors: :class:`NoMulError` that lists every choice's usage, then the ``remark``.

    >>> find("wine", "red7", [Named(r"red(?P<year>\\d+)", "red<year>", "bottle")])
    ('bottle', {'year': '7'})
    """
    choices = list(choices)
    for choice in choices:
        match = re.fullmatch(choice.pattern, name)
        if match:
            return choice.target, {k: v for k, v in match.groupdict().items() if v is not None}
    known = ", ".join(sorted(choice.usage for choice in choices))
    raise NoMulError(f"there is no {kind} {name!r}; choose one of: {known}{remark}")
