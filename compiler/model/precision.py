"""Widths of weights as data: bits of each layer, or of groups of its output channels.

A *precision* names layers and gives, for each, groups of output channels as ``(channels, bits)``;
layers that it does not name have the bits of its default. Weights of b bits are all integers of
``-(2**(b - 1) - 1) .. 2**(b - 1) - 1``; how many passes an engine needs for them is asked of its
mapping.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from compiler import mapping
from compiler.model.external import Segment
from quant.errors import NoMulError
from rtl.architecture import Architecture

__all__ = ["NATIVE", "Precision", "load_precision", "passes_of"]

NATIVE = 0
"""Bits of weights that are of the engine's own format, and so take one pass."""
WIDTHS = range(2, 9)


@dataclass(frozen=True)
class Precision:
    """Widths of a network's weights.

    Parameters
    ----------
    name : str
        For tables.
    default : int
        Bits, 2 to 8, or :data:`NATIVE`.
    layers : mapping of layer to tuple of (channels, bits)
    """

    name: str
    default: int
    layers: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def segments(self, layer: str, channels: int, architecture: Architecture) -> list[Segment]:
        """Passes of a layer's output channels on a machine.

        Errors: :class:`NoMulError` where groups have other channels than the layer.
        """
        groups = self.layers.get(layer, ((channels, self.default),))
        if sum(count for count, _ in groups) != channels:
            raise NoMulError(
                f"precision {self.name}: groups of layer {layer} have "
                f"{sum(count for count, _ in groups)} channels, it has {channels}; allocate again"
            )
        passes: dict[int, int] = {}
        for count, bits in groups:
            needed = passes_of(architecture, bits)
            passes[needed] = passes.get(needed, 0) + count
        return [Segment(count, needed) for needed, count in sorted(passes.items())]


def load_precision(path: str | Path) -> Precision:
    """A precision from a JSON file: ``{"default": 8, "layers": {"conv1": [[16, 4], [48, 3]]}}``.

    Errors: :class:`NoMulError` for a file that is missing or has another form.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        layers = {
            name: tuple((int(count), int(bits)) for count, bits in groups)
            for name, groups in table["layers"].items()
        }
        default = int(table["default"])
    except OSError as error:
        raise NoMulError(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoMulError(
            f"{path} holds no widths ({type(error).__name__}: {error}); write "
            '{"default": 8, "layers": {"NAME": [[CHANNELS, BITS], ...]}}'
        ) from None
    given = [default, *(bits for groups in layers.values() for _, bits in groups)]
    wrong = [bits for bits in given if bits != NATIVE and bits not in WIDTHS]
    if wrong:
        raise NoMulError(
            f"{path} asks for {wrong[0]} bits; allowed are {WIDTHS[0]} to {WIDTHS[-1]}, and "
            f"{NATIVE} for the engine's own format"
        )
    return Precision(Path(path).stem, default, layers)


@lru_cache(maxsize=4096)
def passes_of(architecture: Architecture, bits: int) -> int:
    """Passes that a machine's engine takes for all weights of so many bits.

    Errors: :class:`NoMulError` where it cannot make them.
    """
    if bits == NATIVE:
        return 1
    largest = (1 << bits - 1) - 1
    weights = np.arange(-largest, largest + 1)
    engine = mapping.find(architecture.engine)
    return engine.count_passes(architecture, f"of {bits}-bit weights", weights)
