"""Engines: the parts that turn activations and weights into sums, one file each.

An engine is a ``wiring.Component`` in a file of its name that the file's ``ENGINE`` names. The
shell knows of it only this:

``ENGINE.Config``
    Frozen dataclass: the keys of the architecture's ``[engine]`` table (listed in ``KEYS``) and
    ``activation_bits``; checks itself; has ``lanes`` (codes of an activation word, which is also
    the number of sums of a word), ``weight_bits`` (bits of a weight word), ``sum_bits`` (width of
    a sum, signed), ``macs_per_cycle``, ``latency`` (cycles from an accepted activation word to its
    word of sums, nothing stalling) and ``to_dict()``.
``ENGINE(config)``
    Members: ``settings`` (In, ``ENGINE.Settings``, stable while a run lasts), ``start`` (In, one
    cycle before the first word of a run), ``weights`` and ``activations`` (In, streams), ``sums``
    (Out, stream).
``ENGINE.Settings``
    Layout of at most 48 bits, what the instruction ``ENGINE`` carries.
``ENGINE.model(config, settings, weights, activations)``
    The exact sums, in numpy: ``settings`` a dict of the fields, ``weights`` the words as uint32
    pieces, ``activations`` codes ``[..., words, lanes]`` unsigned as they stand in memory; int64
    ``[..., words, lanes]``.
"""

import importlib
import pkgutil

from quant.errors import NoMulError

__all__ = ["find", "names"]


def names() -> list[str]:
    """Names of the engines."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str):
    """The engine class of a name. Errors: :class:`NoMulError` for an unknown name."""
    if name not in names():
        raise NoMulError(f"no engine {name}; known are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").ENGINE
