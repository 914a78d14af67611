"""A processing element of three widths alone, and one of 32 bits only: what splitting costs."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import LAYOUTS, LEVELS, Nest, Opcode
from rtl.nest import nest_word
from rtl.split.accumulate import SplitAccumulator
from rtl.split.column import SplitColumn
from rtl.split.load import PackedLoad
from rtl.split.multiply import activation_operands, weight_operands
from rtl.split.parts import FIELD, PARTS, Width
from rtl.split.post import SplitPost, split_post_settings
from rtl.split.requantize import block_parameters
from rtl.split.window import WindowOperation

__all__ = ["ProcessingElement"]

ACCUMULATORS = 512
PLACE_BITS = 28
WHOLE_PLACE_BITS = 16  # of which four hold the 64 bits of a sum


class ProcessingElement(wiring.Component):
    """All operations on one field of 32 bits: multiply, accumulate, add, subtract, maximum,
    compare, shift, requantize with both roundings, packed load and store.

    An array has N x N multipliers for N of the rest; here one stands for both. The accumulators are
    block RAM.

    Parameters
    ----------
    fixed : bool
        Only codes of 32 bits: all widths are constants.

    Members
    -------
    As those of the blocks inside.
    """

    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.place_bits = WHOLE_PLACE_BITS if fixed else PLACE_BITS
        walk = nest_word(LEVELS[Nest.SUM], (ACCUMULATORS - 1).bit_length(), False)
        super().__init__(
            {
                "widths": In(LAYOUTS[Opcode.WIDTHS]),
                "settings": In(split_post_settings()),
                "signed": In(1),
                "bypass": In(1),
                "field": In(FIELD),
                "index": In(2),
                "weights": In(FIELD),
                "load": In(1),
                "switch": In(1),
                "valid": In(1),
                "step": In(stream.Signature(walk)),
                "parameters": In(stream.Signature(block_parameters(self.place_bits, 1))),
                "block": In(1),
                "residual": In(stream.Signature(FIELD)),
                "residual_index": In(2),
                "output_index": In(2),
                "o": Out(FIELD),
                "mask": Out(PARTS),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bits, fixed = self.place_bits, self.fixed
        whole = Const(Width.W32.value, 2)

        def width(name: str) -> Value:
            return whole if fixed else self.widths[name]

        def index(value: Value) -> Value:
            return Const(0, 2) if fixed else value

        m.submodules.load_unit = load = PackedLoad()
        m.submodules.column = column = SplitColumn(1, bits)
        m.submodules.window = window = WindowOperation(1, bits)
        m.submodules.accumulator = accumulator = SplitAccumulator(
            1, PARTS * bits, PARTS * bits, ACCUMULATORS, 0, PARTS * bits
        )
        m.submodules.post = post = SplitPost(1, bits)
        taken = Signal(FIELD, reset_less=True)
        m.d.comb += [
            load.width.eq(Mux(self.bypass, width("run"), whole)),
            load.source.eq(width("activation")),
            load.index.eq(index(self.index)),
            load.signed.eq(self.signed),
            load.field.eq(self.field),
            column.width.eq(width("run")),
            column.load.eq(self.load),
            column.switch.eq(self.switch),
            window.width.eq(width("run")),
            window.operation.eq(self.widths.operation),
            window.valid.eq(self.valid),
            window.start.eq(accumulator.first),
            window.inside.eq(1),
            window.codes[0].eq(load.codes),
            accumulator.width.eq(width("run")),
            accumulator.bypass.eq(self.bypass),
            accumulator.valid.eq(self.valid),
            accumulator.sums[0].eq(column.o),
            accumulator.bypassed.eq(window.result),
            post.settings.eq(self.settings),
            *(post.widths[name].eq(width(name)) for name in ("run", "residual", "output")),
            post.block.eq(self.block),
            post.residual_index.eq(index(self.residual_index)),
            post.index.eq(index(self.output_index)),
            post.i.valid.eq(accumulator.o_valid),
            post.i.p[0].eq(accumulator.o),
            self.o.eq(post.o),
            self.mask.eq(post.mask),
            self.o_valid.eq(post.valid),
            post.residual.p[0].eq(self.residual.p),
            post.residual.valid.eq(self.residual.valid),
            self.residual.ready.eq(post.residual.ready),
        ]
        # The registers in front of the array, one set for all elements of a row.
        m.d.sync += taken.eq(load.codes.place_0)
        for name, value in activation_operands(taken, width("run")).items():
            m.d.sync += column.operands[0][name].eq(value)
        for name, value in weight_operands(self.weights, width("run")).items():
            m.d.sync += column.word[0][name].eq(value)
        wiring.connect(m, wiring.flipped(self.step), accumulator.step)
        wiring.connect(m, wiring.flipped(self.parameters), post.parameters)
        return m
