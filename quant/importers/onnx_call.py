"""One ONNX node as its operator sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from quant.importers import arithmetic
from quant.importers.arithmetic import Operand
from quant.importers.builder import Builder
from quant.importers.lowering import Constant
from quant.importers.views import Unsupported, View

__all__ = ["Call"]


@dataclass(frozen=True)
class Call:
    """One node: the builder, the name for a layer, the node, its inputs and the opset."""

    builder: Builder
    name: str
    node: onnx.NodeProto
    inputs: Sequence[View | Constant | None]
    opset: int

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's value."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = onnx.helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def view(self, index: int) -> View:
        """An input that must depend on the network's input."""
        value = self.inputs[index]
        if not isinstance(value, View):
            raise Unsupported(f"its input {index} is a constant; it must depend on the data")
        return value

    def constant(self, index: int) -> Constant:
        """An input that must not depend on the network's input."""
        value = self.inputs[index]
        if not isinstance(value, Constant):
            raise Unsupported(f"its input {index} depends on the data; it must be a constant")
        return value

    def optional(self, index: int) -> Constant | None:
        """A constant input that may be absent."""
        return self.constant(index) if self.has(index) else None

    def operand(self, index: int) -> Operand:
        """An input that may depend on the network's input."""
        return self.view(index) if isinstance(self.inputs[index], View) else self.constant(index)

    def size(self) -> tuple[int, int]:
        """Rows and columns of a 4-dimensional first input."""
        shape = self.view(0).shape
        if len(shape) != 4:
            raise Unsupported(
                f"its input has the shape {shape}; it needs (batch, channels, rows, columns)"
            )
        return shape[2], shape[3]

    def check_moves(self) -> None:
        """Refuse what does more than move elements and add zeros."""
        if self.node.op_type != "Pad":
            return
        mode = self.attribute("mode", "constant")
        value = arithmetic.number(self.optional(2), self.attribute("value", 0.0))
        if mode != "constant" or value != 0:
            shown = mode if mode != "constant" else value
            raise Unsupported(f"it pads with {shown}; only zeros can be")
