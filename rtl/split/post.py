"""Post-processing of machines that split: finished fields of sums to packed codes."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import LAYOUTS, WIDE_CODE, Opcode
from rtl.split.load import PackedLoad
from rtl.split.noise import Noise
from rtl.split.parts import FIELD, PARTS
from rtl.split.requantize import SplitRequantize, block_parameters
from rtl.split.store import PackedStore

__all__ = ["SplitPost", "split_post_settings"]


def split_post_settings() -> data.StructLayout:
    """Settings of a run: instructions REQUANTIZE and LIMIT."""
    fields = dict(LAYOUTS[Opcode.REQUANTIZE].members.items())
    return data.StructLayout({**fields, "low": WIDE_CODE, "high": WIDE_CODE})


class SplitPost(wiring.Component):
    """Each finished word of sums becomes a word of codes, and what is written of it.

    A word waits until its parameters are there, and its residual in a run that has them; all are
    taken in its turn. Residuals and codes may be narrower than the run: ``residual_index`` and
    ``index`` say which parts of a field they are (:mod:`rtl.split.load`, :mod:`rtl.split.store`).

    Latency :attr:`latency` from a word's turn to its codes, throughput 1; the sums wait for their
    turn, at the output nothing does.

    Parameters
    ----------
    lanes, place_bits : int
        Fields of a word, bits of a place of a field of sums.

    Members
    -------
    settings : In(split_post_settings), widths : In(Opcode.WIDTHS layout)
        Stable while a word is under way.
    parameters : In(stream of block_parameters)
    block : In(1)
        With the parameters: they are those of the first word of a block of channels.
    residual : In(stream of ArrayLayout(32, lanes))
        Nothing is taken from it in a run without residuals.
    residual_index : In(2)
        With the residual.
    i : In(stream of ArrayLayout(ArrayLayout(signed(PARTS * place_bits), lanes), 1))
    valid : Out(1)
    index : In(2)
        With the codes.
    o : Out(32 * lanes), mask : Out(PARTS * lanes)
        Which bytes of the word are written.
    """

    latency = SplitRequantize.latency

    def __init__(self, lanes: int, place_bits: int) -> None:
        self.lanes = lanes
        self.place_bits = place_bits
        fields = data.ArrayLayout(signed(PARTS * place_bits), lanes)
        parameters = block_parameters(place_bits, lanes)
        super().__init__(
            {
                "settings": In(split_post_settings()),
                "widths": In(LAYOUTS[Opcode.WIDTHS]),
                "parameters": In(stream.Signature(parameters)),
                "block": In(1),
                "residual": In(stream.Signature(data.ArrayLayout(FIELD, lanes))),
                "residual_index": In(2),
                "i": In(stream.Signature(data.ArrayLayout(fields, 1))),
                "valid": Out(1),
                "index": In(2),
                "o": Out(FIELD * lanes),
                "mask": Out(PARTS * lanes),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        settings, widths = self.settings, self.widths
        m.d.comb += [
            self.i.ready.eq(1),
            self.parameters.ready.eq(self.i.valid),
            self.residual.ready.eq(self.i.valid & settings.residual),
        ]
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i.valid, valid[:-1]))
        m.d.comb += self.valid.eq(valid[-1])

        m.submodules.noise = noise = Noise(self.lanes)
        m.d.comb += [
            noise.width.eq(widths.run),
            noise.seed.eq(settings.seed),
            noise.take.eq(self.i.valid),
            noise.block.eq(self.block),
            noise.key.eq(self.parameters.p.key),
        ]
        fields, masks = [], []
        for lane in range(self.lanes):
            m.submodules[f"load_{lane}"] = load = PackedLoad()
            m.submodules[f"requantize_{lane}"] = requantize = SplitRequantize(self.place_bits)
            m.submodules[f"store_{lane}"] = store = PackedStore()
            m.d.comb += [
                load.width.eq(widths.run),
                load.source.eq(widths.residual),
                load.index.eq(self.residual_index),
                load.signed.eq(settings.residual_signed),
                load.field.eq(Mux(settings.residual, self.residual.p[lane], 0)),
                requantize.width.eq(widths.run),
                requantize.sums.eq(self.i.p[0][lane]),
                requantize.parameters.eq(self.parameters.p.fields[lane]),
                requantize.residual.eq(load.codes),
                requantize.noise.eq(noise.o[lane]),
                requantize.offset.eq(settings.offset),
                requantize.stochastic.eq(settings.stochastic),
                requantize.low.eq(settings.low),
                requantize.high.eq(settings.high),
                store.width.eq(widths.run),
                store.target.eq(widths.output),
                store.index.eq(self.index),
                store.codes.eq(requantize.codes),
            ]
            fields.append(store.field)
            masks.append(store.mask)
        m.d.comb += [self.o.eq(Cat(*fields)), self.mask.eq(Cat(*masks))]
        return m
