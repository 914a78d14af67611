"""Selectors and adders of a lane as plain arithmetic: for simulation and for parts of any make."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Value

from rtl.arithmetic import plain_adder

__all__ = ["adder", "select"]

adder = plain_adder


def select(
    m: Module,
    width: int,
    index: Sequence[Value],
    sources: Sequence[tuple[Value, int] | None],
    negative: Value | None,
    name: str,
) -> Value:
    """The source that ``index`` selects, shifted left; combinational.

    Parameters
    ----------
    m : Module
    width : int
        Bits of the outcome; what a source has above is cut off.
    index : sequence of Value, 1 bit each
        Lowest first.
    sources : sequence of (value, shift) or None
        For each value of the index; None is zero.
    negative : Value, 1 bit, optional
        Complements a source before it is shifted.
    name : str
        For signals on the way.
    """
    values: list[Value] = []
    for source in sources:
        if source is None:
            values.append(Const(0, width))
            continue
        value, shift = source
        if negative is not None:
            value = value ^ negative.replicate(len(value))
        values.append((value << shift)[:width])
    for bit in index:
        values = [Mux(bit, high, low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return values[0]
