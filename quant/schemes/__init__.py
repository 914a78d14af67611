"""Weight quantizers: a scheme is one class in one file of this package, found by name.

A new scheme is a module here with a subclass of :class:`Scheme`; nothing else changes. It says
which names it answers to, how wide activations are, and turns the float weights of a convolution
into integers with one power-of-two scale an output channel.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.named import Named, find

__all__ = ["Scheme", "find_scheme"]


class Scheme(ABC):
    """How weights become integers, and how wide activations are.

    Parameters
    ----------
    name : str
        The name that it was asked for by; further keywords are the pattern's named groups.

    Class attributes
    ----------------
    pattern : regular expression of the names that the scheme answers to.
    usage : the same for a person, with what it does.
    accumulator_bits : width that sums are kept within by coarser weight fractions.
    """

    pattern: ClassVar[str]
    usage: ClassVar[str]
    accumulator_bits: ClassVar[int] = 32

    def __init__(self, name: str) -> None:
        self.name = name

    def activation_bits(self, tensor: str) -> int:
        """Width of a tensor's codes, 2 to 32: 8 unless the scheme says otherwise."""
        return 8

    @abstractmethod
    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        """Weight codes, int32 of the weight's shape, and weight fraction, int32 (outputs,).

        ``conv.weight[o]`` is approximated by ``codes[o] * 2**-fraction[o]``. ``conv.name`` tells
        layers apart, for schemes that hold trained or mixed parameters.
        """


def find_scheme(name: str) -> Scheme:
    """The scheme of a name such as ``int8`` or ``log4x2``.

    Errors: :class:`~quant.errors.NoMulError` that lists the known names.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    choices = (Named(cls.pattern, cls.usage, cls) for cls in _concrete(Scheme))  # type: ignore[type-abstract]
    cls, parameters = find("scheme", name, choices)
    return cls(name, **parameters)


def _concrete(cls: type[Scheme]) -> Iterator[type[Scheme]]:
    """Subclasses that declare names, at any depth."""
    for sub in cls.__subclasses__():
        if "pattern" in vars(sub):
            yield sub
        yield from _concrete(sub)
