"""Arithmetic that several blocks share: adder trees, saturation."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["Addend", "adder_tree", "saturated", "tree_levels"]


class Addend(NamedTuple):
    """An unsigned value ``bits * 2**zeros`` that is at most ``largest``."""

    bits: Value
    largest: int
    zeros: int = 0


Adder = Callable[[Module, Sequence[tuple[Value, int]], int, str], Value]
"""See :func:`plain_adder`, which is one."""


def plain_adder(m: Module, values: Sequence[tuple[Value, int]], width: int, name: str) -> Value:
    """Sum of two or three unsigned values, each with a left shift; combinational.

    ``width`` is that of the sum, ``name`` begins the names of cells.
    """
    first, second, *third = [value << shift for value, shift in values]
    return first + second + third[0] if third else first + second


def tree_levels(count: int) -> int:
    """Levels of a ternary tree over ``count`` values, which is its latency.

    >>> [tree_levels(count) for count in (1, 2, 3, 4, 9, 10, 48)]
    [0, 1, 1, 2, 2, 3, 4]
    """
    levels = 0
    while count > 1:
        count = -(-count // 3)
        levels += 1
    return levels


def adder_tree(
    m: Module, addends: Sequence[Addend], name: str, adder: Adder = plain_adder
) -> Addend:
    """Sum of ``addends`` by a tree that adds three at a time, with a register behind each level.

    Latency :func:`tree_levels`, throughput 1, no enable. Registers are as wide as the sum of the
    largest values asks for, so nothing wraps.

    Parameters
    ----------
    m : Module
        Gets the registers, in the domain ``sync``.
    addends : sequence of Addend
    name : str
        Prefix of the registers' names.
    adder : function
        Makes a sum of two or three values; see :data:`Adder`.
    """
    level = 0
    while len(addends) > 1:
        level += 1
        addends = [
            _registered_sum(m, addends[i : i + 3], f"{name}_{level}_{i // 3}", adder)
            for i in range(0, len(addends), 3)
        ]
    return addends[0]


def _registered_sum(m: Module, addends: Sequence[Addend], name: str, adder: Adder) -> Addend:
    zeros = min(addend.zeros for addend in addends)
    largest = sum(addend.largest for addend in addends)
    width = (largest >> zeros).bit_length()
    total = Signal(width, name=name, reset_less=True)
    values = [(addend.bits, addend.zeros - zeros) for addend in addends]
    m.d.sync += total.eq(addends[0].bits if len(values) == 1 else adder(m, values, width, name))
    return Addend(total, largest, zeros)


def saturated(value: Value, low: Value, high: Value, bits: int) -> Value:
    """``value`` clamped to ``low .. high``, as its lowest ``bits`` bits (unsigned)."""
    return Mux(value < low, low[:bits], Mux(value > high, high[:bits], value[:bits]))
