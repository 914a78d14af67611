"""Post-processing: the members of finished words of sums, one after another, to words of codes."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import CODE, LAYOUTS, SHIFT, Opcode
from rtl.post_lane import PostLane

__all__ = ["PostProcess", "parameter_word", "post_settings"]


def parameter_word(bits: int, lanes: int) -> data.ArrayLayout:
    """Parameters of a block of output channels, as they stand in the parameter memory."""
    channel = data.StructLayout({"bias": signed(bits), "shift": SHIFT})
    return data.ArrayLayout(channel, lanes)


def post_settings() -> data.StructLayout:
    """Settings of a run: instructions POST and RANGE."""
    fields = dict(LAYOUTS[Opcode.POST].members.items())
    return data.StructLayout({**fields, "low": CODE, "high": CODE})


class PostProcess(wiring.Component):
    """Each finished word of sums is ``groups`` words, its members, which lanes take in turn.

    Member 0 comes first. A member waits until its parameters are there, and its residual in a run
    that has them; all are taken in its turn, the word of sums in that of its last member.

    Latency ``PostLane.latency`` from a member's turn to its codes, throughput one member a cycle;
    the sums wait for their turn, at the output nothing does.

    Parameters
    ----------
    groups, lanes, bits, code_bits : int
        Members of a word, lanes of a member, width of an accumulator and of a code.
    logarithmic : bool
        Whether it can make logarithmic codes.

    Members
    -------
    settings : In(post_settings)
        Stable while a member is under way.
    parameters : In(stream of parameter_word)
    residual : In(stream of ArrayLayout(code_bits, lanes))
        Nothing is taken from it in a run without residuals.
    i : In(stream of ArrayLayout(ArrayLayout(signed(bits), lanes), groups))
    valid : Out(1)
    o : Out(ArrayLayout(code_bits, lanes))
    """

    latency = PostLane.latency

    def __init__(
        self, groups: int, lanes: int, bits: int, code_bits: int, logarithmic: bool = False
    ) -> None:
        self.groups = groups
        self.lanes = lanes
        self.bits = bits
        self.code_bits = code_bits
        self.logarithmic = logarithmic
        sums = data.ArrayLayout(data.ArrayLayout(signed(bits), lanes), groups)
        super().__init__(
            {
                "settings": In(post_settings()),
                "parameters": In(stream.Signature(parameter_word(bits, lanes))),
                "residual": In(stream.Signature(data.ArrayLayout(code_bits, lanes))),
                "i": In(stream.Signature(sums)),
                "valid": Out(1),
                "o": Out(data.ArrayLayout(code_bits, lanes)),
            }
        )

    @staticmethod
    def model(
        bits: int,
        code_bits: int,
        settings: dict[str, int],
        parameters: dict[str, np.ndarray],
        residual: np.ndarray,
        sums: np.ndarray,
    ) -> np.ndarray:
        """Unsigned codes ``[members, lanes]`` of a run.

        Parameters
        ----------
        bits, code_bits : int
            Width of an accumulator and of a code.
        settings : dict
            Fields of :func:`post_settings`.
        parameters : dict of int64 [members, lanes]
            ``bias`` and ``shift``.
        residual : int64 [members, lanes]
            Unsigned codes; not looked at without ``residual``.
        sums : int64 [members, lanes]
        """
        half = 1 << code_bits - 1
        extended = np.zeros_like(sums)
        if settings["residual"]:
            offset = half if settings["residual_signed"] else 0
            extended = (residual ^ offset) - offset
        names = ("residual_left", "right", "low", "high")
        return PostLane.model(
            bits,
            code_bits,
            sums,
            extended,
            parameters["bias"],
            parameters["shift"],
            **{name: settings[name] for name in names},
            as_log=settings["logarithmic"],
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        settings = self.settings
        member = Signal(range(self.groups))
        m.d.comb += [
            self.i.ready.eq(member == self.groups - 1),
            self.parameters.ready.eq(self.i.valid),
            self.residual.ready.eq(self.i.valid & settings.residual),
        ]
        with m.If(self.i.valid):
            m.d.sync += member.eq(Mux(member == self.groups - 1, 0, member + 1))
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i.valid, valid[:-1]))
        m.d.comb += self.valid.eq(valid[-1])

        # The member whose turn it is goes straight into the lanes, whose first adders choose it.
        sums = self.i.p[member]
        for i in range(self.lanes):
            m.submodules[f"lane_{i}"] = lane = PostLane(self.bits, self.code_bits, self.logarithmic)
            code = self.residual.p[i]
            extended = Cat(code, code[-1] & settings.residual_signed).as_signed()
            m.d.comb += [
                lane.sum.eq(sums[i]),
                lane.bias.eq(self.parameters.p[i].bias),
                lane.shift.eq(self.parameters.p[i].shift),
                lane.residual.eq(Mux(settings.residual, extended, 0)),
                lane.residual_left.eq(settings.residual_left),
                lane.right.eq(settings.right),
                lane.low.eq(settings.low[: self.code_bits + 1].as_signed()),
                lane.high.eq(settings.high[: self.code_bits + 1].as_signed()),
                lane.as_log.eq(settings.logarithmic),
                self.o[i].eq(lane.code),
            ]
        return m
