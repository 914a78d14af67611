"""Engines: the parts that turn activations and weights into sums, one file each.

An engine is a ``wiring.Component`` in a file of its name that the file's ``ENGINE`` names. The
shell knows of it only this:

``ENGINE.Config``
    Frozen dataclass: the keys of the architecture's ``[engine]`` table (listed in ``KEYS``; whole
    numbers or text) and ``activation_bits``; checks itself (``ValueError`` with key, value and what
    is allowed). With ``N = lanes`` codes of a feature word, ``T = vector_words`` words of a vector
    and ``P = groups`` vectors a cycle, each of which gives N sums, it has these three and
    ``weight_bits`` (bits of a weight word), ``sum_bits`` (width of a sum, signed),
    ``macs_per_cycle``, ``latency`` (cycles from an accepted word of activations to its sums),
    ``to_dict()`` and ``splits``: whether a feature word is N fields of 32 bits that hold a code of
    32 bits, two of 16 or four of 8 each, see below.
``ENGINE(config, family=None)``
    ``family`` is the part's FPGA family, as Yosys names it, for an engine that uses its primitives;
    None is generic. Members: ``settings`` (In, ``ENGINE.Settings``, stable while a run lasts),
    ``start`` (In, one cycle before the first word of a run), ``weights`` (In, stream of weight
    words), ``activations`` (In, stream of ``P x T x N`` codes), ``valid`` (Out) and ``sums`` (Out,
    ``P x N`` signed). A word of activations gives one word of sums or, where the engine needs
    several for one, none. Sums cannot be stalled: whoever feeds activations has room for them.
``ENGINE.Settings``
    Layout of at most 48 bits, what the instruction ``ENGINE`` carries.
``ENGINE.share(config, settings)``
    :class:`Share` of a tile of weights, which is what activations have in common. Errors:
    ``ValueError`` for settings that no run may have.
``ENGINE.model(config, settings, weights, activations)``
    The exact sums, in numpy: ``settings`` a dict of the fields, ``weights`` the words as uint32
    pieces, ``activations`` codes ``[..., words, P, T, N]`` unsigned as they stand in memory, both
    of whole tiles; int64 ``[..., words of sums, P, N]``.
``ENGINE.excess(config, weights)``
    What the product of an unsigned activation and each of the integer ``weights`` has more in the
    sums than it should, whatever the activation: int64 of the shape of ``weights``. The compiler
    takes it off the bias.

Where codes split (:mod:`rtl.split`), T and P are 1, ``activation_bits`` is 32 and ``sum_bits`` a
field of sums. The engine has a member ``width`` (In, as stable as the settings) that says how wide
the run's codes are. It takes ``signed(32)`` codes, one a field, as the shell has unpacked and
extended them, and gives ``N`` fields of sums; ``model`` finds ``width`` among its settings, takes
those codes and gives ``N * parts`` sums, part 0 of field 0 first.
"""

import importlib
import pkgutil
from typing import Any, NamedTuple

from quant.errors import NoMulError

__all__ = ["Share", "find", "names", "require"]


class Share(NamedTuple):
    """Words of weights of a tile, of activations that it serves and of sums that they give."""

    weights: int
    vectors: int
    sums: int


def names() -> list[str]:
    """Names of the engines."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str):
    """The engine class of a name. Errors: :class:`NoMulError` for an unknown name."""
    if name not in names():
        raise NoMulError(f"no engine {name}; known are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").ENGINE


def require(key: str, value: Any, allowed: Any) -> None:
    """Refuse a value of a config that is not among those allowed; True is no number.

    Errors: ``ValueError`` with key, value and what is allowed.
    """
    if type(value) is not type(allowed[0]) or value not in allowed:
        if isinstance(allowed, range) and allowed.step == 1:
            choices = f"is {allowed[0]} to {allowed[-1]}"
        elif isinstance(allowed, range):
            choices = f"are even numbers from {allowed[0]} to {allowed[-1]}"
        else:
            choices = f"are {', '.join(map(str, allowed))}"
        raise ValueError(f"{key} = {value}: allowed {choices}")
