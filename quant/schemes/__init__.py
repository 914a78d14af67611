"""Weight quantizers: a scheme is one class in one file of this package, found by name.

A new scheme is a module here with a subclass of :class:`Scheme`; nothing else changes. It says
which names it answers to, how wide activations are, and turns the float weights of a convolution
into integers with one power-of-two scale an output channel.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.named import Named, find
from quant.numbers import Format

__all__ = ["Activations", "Scheme", "find_scheme"]

# What may follow the name of any scheme.
SUFFIX = (
    "(a(?=[4-7]|log)(?P<activation_bits>[4-7])?(?P<activation_log>log)?"
    "|q(?P<activation_fraction>[0-7]))?"
)
SUFFIX_USAGE = (
    "; behind it a<bits> (4..7), alog or a<bits>log for activations, or q<n> (0..7) for signed "
    "ones with n bits behind the point"
)


@dataclass(frozen=True)
class Activations:
    """Codes of activations: their width, and whether unsigned ones are logarithmic.

    With a ``fraction`` all tensors are signed and have so many bits behind the point. Unsigned
    codes of 32 bits leave their highest bit 0, so that every code is below 2**31.
    """

    bits: int = 8
    logarithmic: bool = False
    fraction: int | None = None

    def code_bits(self, signed: bool) -> int:
        """Bits of a tensor's codes.

        >>> Activations(32).code_bits(True), Activations(32).code_bits(False)
        (32, 31)
        """
        return self.bits if signed else min(self.bits, 31)

    def format(self, signed: bool, fraction: int) -> Format:
        """The format of a tensor that calibration gives this sign and fraction.

        >>> Activations(8, True).format(False, 5)
        Format(bits=8, signed=False, fraction=5, logarithmic=True)
        >>> Activations(8, fraction=5).format(False, 7)
        Format(bits=8, signed=True, fraction=5, logarithmic=False)
        """
        if self.fraction is not None:
            return Format(self.bits, True, self.fraction)
        bits = self.code_bits(signed)
        return Format(bits, signed, fraction, self.logarithmic and not signed)


class Scheme(ABC):
    """How weights become integers, and how wide activations are.

    Parameters
    ----------
    name : str
        The name that it was asked for by.
    activations : Activations

    Further keywords are the pattern's named groups. A group ``width`` is also the width of
    activations, unless the name gives them another.

    Class attributes
    ----------------
    pattern : regular expression of the names that the scheme answers to; one of activations may
        follow, which is not in it.
    usage : the same for a person, with what it does.

    Attributes
    ----------
    width : int
        Of the weights, one of :data:`quant.widths.WIDTHS`: with those of the activations it says
        how wide sums may be.
    """

    pattern: ClassVar[str]
    usage: ClassVar[str]
    width: int = 8

    def __init__(self, name: str, activations: Activations) -> None:
        self.name = name
        self.activations = activations

    def activations_of(self, tensor: str) -> Activations:
        """Codes of a tensor: those of all, where a scheme does not tell them apart."""
        return self.activations

    @abstractmethod
    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        """Weight codes, int32 of the weight's shape, and weight fraction, int32 (outputs,).

        ``conv.weight[o]`` is approximated by ``codes[o] * 2**-fraction[o]``. ``conv.name`` tells
        layers apart, for schemes that hold trained or mixed parameters.
        """


def find_scheme(name: str) -> Scheme:
    """The scheme of a name such as ``int8``, ``log4`` or, with its activations, ``log4a4``.

    Errors: :class:`~quant.errors.NoMulError` that lists the known names.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    choices = [Named(cls.pattern + SUFFIX, cls.usage, cls) for cls in _concrete(Scheme)]  # type: ignore[type-abstract]
    cls, parameters = find("scheme", name, choices, SUFFIX_USAGE)
    bits = int(parameters.pop("activation_bits", parameters.get("width", 8)))
    logarithmic = parameters.pop("activation_log", None) is not None
    fixed = parameters.pop("activation_fraction", None)
    activations = Activations(bits, logarithmic, None if fixed is None else int(fixed))
    return cls(name, activations, **parameters)


def _concrete(cls: type[Scheme]) -> Iterator[type[Scheme]]:
    """Subclasses that declare names, at any depth."""
    for sub in cls.__subclasses__():
        if "pattern" in vars(sub):
            yield sub
        yield from _concrete(sub)
