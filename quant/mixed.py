"""Which scheme each tensor of a network is quantized by: one for all, or widths one by one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from quant.errors import NoMulError
from quant.schemes import Activations, Scheme, find_scheme
from quant.widths import WIDTHS

__all__ = ["WEIGHT", "MixedScheme"]

WEIGHT = ".weight"
"""Behind the name of a tensor: the weights of the layer that makes it."""


@dataclass(frozen=True)
class MixedScheme:
    """A scheme, and widths of tensors that are quantized to others.

    Parameters
    ----------
    scheme : Scheme
        Of what has no width of its own.
    widths : dict of str to int
        ``{"stem": 16}`` gives the tensor ``stem`` 16 bits, and the weights of what makes it, as
        ``int16`` has them; ``{"stem.weight": 8}`` gives a width to the weights alone.

    Errors: :class:`NoMulError` for a width that is none of :data:`quant.widths.WIDTHS`.
    """

    scheme: Scheme
    widths: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name, width in self.widths.items():
            if isinstance(width, bool) or width not in WIDTHS:
                raise NoMulError(
                    f"the width of {name} is {width!r}; choose one of {', '.join(map(str, WIDTHS))}"
                )

    @property
    def name(self) -> str:
        """The scheme's name; ``int8+mixed`` where there are widths."""
        return f"{self.scheme.name}+mixed" if self.widths else self.scheme.name

    def weights(self, tensor: str, decisive: str) -> Scheme:
        """The scheme of the weights of the layer that makes a tensor.

        ``decisive`` is the tensor whose format it has.
        """
        width = self.widths.get(tensor + WEIGHT, self.widths.get(decisive))
        return self.scheme if width is None else find_scheme(f"int{width}")

    def activations(self, tensor: str) -> Activations:
        """The codes of a tensor."""
        width = self.widths.get(tensor)
        return (
            self.scheme.activations_of(tensor)
            if width is None
            else find_scheme(f"int{width}").activations
        )

    def check(self, tensors: Collection[str], weights: Collection[str]) -> None:
        """Refuse widths of what the network does not have.

        Parameters
        ----------
        tensors : names
            That a width may be given to.
        weights : names
            Of those that layers with weights make.

        Errors: :class:`NoMulError` that names the nearest.
        """
        known = [*tensors, *(name + WEIGHT for name in weights)]
        for name in self.widths:
            if name not in known:
                near = get_close_matches(name, known, 3, 0.3) or known[:3]
                raise NoMulError(
                    f"no tensor {name} can have a width of its own; such are {', '.join(near)}"
                )
