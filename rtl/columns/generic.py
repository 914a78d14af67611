"""Selectors and adders of a lane as plain arithmetic: for simulation and for parts of any make."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Value

from rtl.arithmetic import plain_adder
from rtl.columns.selection import Select, gathered

__all__ = ["adder", "select"]

adder = plain_adder


def select(
    m: Module,
    name: str,
    selector: Select,
    word: Value,
    index: Sequence[Value],
    negative: Value | None = None,
) -> Value:
    """The source that ``index`` (bits, lowest first) selects; combinational.

    ``negative`` is the sign, for a selector that folds; ``name`` begins the names of cells.
    """
    values: list[Value] = []
    for source in selector.sources:
        if source is None:
            values.append(Const(0, selector.width))
            continue
        value = gathered(word, source.places)
        if negative is not None:
            value = value ^ negative.replicate(len(value))
        values.append((value << source.shift)[: selector.width])
    for bit in index:
        values = [Mux(bit, high, low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return values[0]
