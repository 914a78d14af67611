"""An allocation: the width of every output channel's weights and of every tensor's activations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quant.allocation.mixed import Mixed
from quant.errors import NoMulError
from quant.files import write_bytes

__all__ = ["TAG_BITS", "Allocation"]

TAG_BITS = 3
"""Bits that say a width of 2 to 8."""


@dataclass(frozen=True)
class Allocation:
    """Widths of a network.

    Parameters
    ----------
    kind : str
        Of the weights (:data:`~quant.allocation.tables.KINDS`).
    rounding : str
        How weights are rounded (:data:`~quant.allocation.mixed.ROUNDINGS`).
    bits : dict of int array (outputs,)
        Of each output channel's weights, by the convolution's name.
    elements : dict of int
        Weights of an output channel.
    tensors : dict of int
        Bits of activations, of tensors that have not 8.
    orders : dict of int array (channels,)
        Tensors whose channels are to be put in another order, so that groups of equal widths are
        contiguous: :func:`~quant.allocation.permutation.permute`. ``bits`` are in the network's.
    """

    kind: str
    rounding: str
    bits: dict[str, np.ndarray]
    elements: dict[str, int]
    tensors: Mapping[str, int] = field(default_factory=dict)
    orders: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bits of all weights."""
        return sum(self.elements[name] * int(bits.sum()) for name, bits in self.bits.items())

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(self.elements[name] * len(bits) for name, bits in self.bits.items())

    @property
    def mean(self) -> float:
        """Bits of a weight."""
        return self.total / self.weights

    @property
    def tags(self) -> int:
        """Tags that say widths: one a layer that has one width, else one an output channel."""
        return sum(1 if (bits == bits[0]).all() else len(bits) for bits in self.bits.values())

    @property
    def bytes(self) -> int:
        """All weights packed, and the tags."""
        return -(-(self.total + TAG_BITS * self.tags) // 8)

    def layer_mean(self, name: str) -> float:
        """Bits of a layer's weight."""
        return float(self.bits[name].mean())

    def scheme(self) -> Mixed:
        """The quantizer of this allocation, for the network with its channels in ``orders``."""
        bits = {
            name: row[self.orders[name]] if name in self.orders else row
            for name, row in self.bits.items()
        }
        return Mixed(f"mixed {self.mean:.2f}", self.kind, bits, self.tensors, self.rounding)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "rounding": self.rounding,
            "mean_bits": self.mean,
            "bytes": self.bytes,
            "layers": {
                name: {
                    "weights": self.elements[name] * len(bits),
                    "mean_bits": self.layer_mean(name),
                    "bits": [int(b) for b in bits],
                }
                for name, bits in self.bits.items()
            },
            "tensors": dict(self.tensors),
            "orders": {name: order.tolist() for name, order in self.orders.items()},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Allocation":
        """The inverse of :meth:`to_dict`."""
        layers = content["layers"]
        return cls(
            content["kind"],
            content["rounding"],
            {name: np.array(layer["bits"]) for name, layer in layers.items()},
            {name: layer["weights"] // len(layer["bits"]) for name, layer in layers.items()},
            dict(content["tensors"]),
            {name: np.array(order) for name, order in content["orders"].items()},
        )

    def save(self, path: str | Path) -> None:
        """Write the allocation as JSON."""
        write_bytes(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Allocation":
        """Read what :meth:`save`, or the JSON of ``nomul allocate``, holds.

        Errors: :class:`NoMulError` for a missing file, or one that holds no allocation.
        """
        try:
            content = json.loads(Path(path).read_text())
            return cls.from_dict(content.get("allocation", content))
        except FileNotFoundError:
            raise NoMulError(f"{path} does not exist; make it with: nomul allocate") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoMulError(
                f"{path} holds no allocation ({type(error).__name__}); make it with: nomul allocate"
            ) from error
