"""Arithmetic of two operands of which one may be constant, for all front ends."""

import numpy as np

from quant.importers.builder import Builder
from quant.importers.lowering import Constant
from quant.importers.views import Unsupported, View

__all__ = [
    "NOTHING",
    "ONE",
    "Operand",
    "add",
    "clamp",
    "concat",
    "divide",
    "multiply",
    "number",
    "subtract",
]

Operand = View | Constant

ONE = Constant(np.ones(()), "1")
NOTHING = Constant(np.zeros(()), "0")


def add(builder: Builder, name: str, first: Operand, second: Operand) -> View:
    """``first + second``."""
    if isinstance(first, View) and isinstance(second, View):
        return builder.add(name, first, second)
    view, constant = split_constant(first, second)
    return builder.scale(name, view, ONE, constant)


def subtract(builder: Builder, name: str, first: Operand, second: Operand) -> View:
    """``first - second``."""
    return add(builder, name, first, multiply(builder, name, second, Constant(-ONE.values, "-1")))


def multiply(builder: Builder, name: str, first: Operand, second: Operand):
    """``first * second``, a constant where both are."""
    if isinstance(first, Constant) and isinstance(second, Constant):
        return Constant(first.values * second.values, first.name)
    if isinstance(first, View) and isinstance(second, View):
        raise Unsupported(
            "it multiplies two tensors that depend on the input; only a constant factor can be"
        )
    view, constant = split_constant(first, second)
    return builder.scale(name, view, constant, NOTHING)


def divide(builder: Builder, name: str, first: Operand, second: Operand) -> View:
    """``first / second`` by a constant."""
    if isinstance(second, View):
        raise Unsupported("it divides by a tensor that depends on the input; only constants can be")
    with np.errstate(divide="ignore"):
        factor = Constant(1 / second.values.astype(np.float64), f"1 / {second.name}")
    return multiply(builder, name, first, factor)


def number(constant: Constant | None, default: float) -> float:
    """A constant of one element; ``default`` where it is absent."""
    if constant is None:
        return default
    if constant.values.size != 1:
        raise Unsupported(f"{constant.name} has {constant.values.size} values; use one number")
    return float(constant.values.item())


def clamp(largest: bool, builder: Builder, name: str, first: Operand, second: Operand) -> View:
    """``max(first, second)`` if ``largest``, else ``min``; one of them is a number."""
    if isinstance(first, View) and isinstance(second, View):
        raise Unsupported(
            "it compares two tensors that depend on the input; only a constant bound can be"
        )
    view, constant = split_constant(first, second)
    bound = number(constant, 0.0)
    return builder.clip(name, view, *((bound, np.inf) if largest else (-np.inf, bound)))


def concat(builder: Builder, name: str, parts: list[Operand], axis: int) -> View:
    """All parts one after another; constants must be zeros, beside one view."""
    views = [part for part in parts if isinstance(part, View)]
    if len(views) == len(parts):
        return builder.concat(name, views, axis)
    if len(views) > 1 or any(isinstance(p, Constant) and p.values.any() for p in parts):
        raise Unsupported("it joins constants to the data; only zeros beside one tensor can be")
    positions = views[0].indices()
    joined = [part.values if isinstance(part, Constant) else positions for part in parts]
    return views[0].rearranged(np.concatenate(joined, axis), name)


def split_constant(first: Operand, second: Operand) -> tuple[View, Constant]:
    """The one that depends on the input, and the other."""
    if isinstance(first, View) and isinstance(second, Constant):
        return first, second
    if isinstance(second, View) and isinstance(first, Constant):
        return second, first
    raise TypeError("exactly one operand must be constant")
