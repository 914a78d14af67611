"""A 3 x 3 array of processing elements that stands alone, as papers count it.

In an engine the arrays of all output channels share the windows of an input channel. Alone, an
array has the registers of its window itself: ``size - 1`` of each row.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from rtl.convolver.multiply import MultiplyArrays
from rtl.convolver.plan import SHIFT_PLANS
from rtl.convolver.shift import ShiftArrays
from rtl.design import Design

__all__ = ["SIZE", "LoneArray", "cost", "multiplying", "shifting"]

SIZE = 3
PART = "xczu9eg"
FAMILY = "xcup"


class LoneArray(wiring.Component):
    """An array whose rows take a pixel a cycle; its cost is that of the array as published.

    The newest pixel of a row comes from its line buffer, which is not in it.

    Parameters
    ----------
    kind : str
        "shift" or "multiply".
    weight_bits, activation_bits : int
    """

    def __init__(self, kind: str, weight_bits: int, activation_bits: int) -> None:
        arrays: ShiftArrays | MultiplyArrays
        if kind == "shift":
            arrays = shifting(weight_bits, activation_bits)
        else:
            arrays = multiplying(weight_bits, activation_bits)
        self.arrays = arrays
        super().__init__(
            {
                "word": In(len(arrays.word)),
                "load": In(1),
                "loaded": Out(len(arrays.loaded)),
                "switch": In(2),
                "pixels": In(data.ArrayLayout(activation_bits, SIZE)),
                "sum": Out(arrays.sum.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.arrays = arrays = self.arrays
        m.d.comb += [
            arrays.word.eq(self.word),
            arrays.load.eq(self.load),
            arrays.switch.eq(self.switch),
            self.loaded.eq(arrays.loaded),
            self.sum.eq(arrays.sum),
        ]
        for i in range(SIZE):
            pixel = self.pixels[i]
            for j in reversed(range(SIZE)):
                m.d.comb += arrays.window[0][i * SIZE + j].eq(pixel)
                if j:
                    later = Signal.like(pixel, name=f"pixel_{i}_{j}", reset_less=True)
                    m.d.sync += later.eq(pixel)
                    pixel = later
        return m


def shifting(weight_bits: int, activation_bits: int, family: str = FAMILY) -> ShiftArrays:
    """One array of shifting elements."""
    return ShiftArrays(1, SIZE, SHIFT_PLANS[weight_bits], activation_bits, family)


def multiplying(weight_bits: int, activation_bits: int, family: str = FAMILY) -> MultiplyArrays:
    """One array of multiplying elements."""
    return MultiplyArrays(1, SIZE, weight_bits, activation_bits, family)


def cost(kind: str, weight_bits: int, activation_bits: int) -> Resources:
    """What a lone array takes, by Yosys for UltraScale+."""
    design = Design(LoneArray, (kind, weight_bits, activation_bits), "array")
    return synthesize(design, load_part(PART)).total
