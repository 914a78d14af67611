"""Arithmetic that several blocks share: adder trees, rounding shifts, saturation."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value

__all__ = ["adder_tree", "saturated", "tree_levels"]


def tree_levels(count: int) -> int:
    """Levels of a binary tree over ``count`` values, which is its latency when pipelined."""
    return (count - 1).bit_length()


def adder_tree(m: Module, values: list[Value], enable: Value, name: str) -> Signal:
    """Sum of ``values`` by a binary tree with a register behind each level.

    Latency :func:`tree_levels`, throughput 1, all registers hold while ``enable`` is low. A level
    is one bit wider than the one before it, so nothing wraps. Cost: one adder a pair.

    Parameters
    ----------
    m : Module
        Gets the registers, in the domain ``sync``.
    values : list of Value
        All of one shape.
    enable : Value, 1 bit
    name : str
        Prefix of the registers' names.
    """
    level = 0
    while len(values) > 1:
        shape = Shape(values[0].shape().width + 1, values[0].shape().signed)
        level += 1
        sums = []
        for i in range(0, len(values), 2):
            total = Signal(shape, name=f"{name}_{level}_{i // 2}", reset_less=True)
            pair = values[i] + values[i + 1] if i + 1 < len(values) else values[i]
            with m.If(enable):
                m.d.sync += total.eq(pair)
            sums.append(total)
        values = sums
    return values[0]


def saturated(value: Value, low: Value, high: Value, bits: int) -> Value:
    """``value`` clamped to ``low .. high``, as its lowest ``bits`` bits (unsigned)."""
    return Mux(value < low, low[:bits], Mux(value > high, high[:bits], value[:bits]))
