"""Post-processing: bias, residual, requantization and saturation of finished sums."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from quant.numbers import requantize
from rtl.accumulate import finished_word
from rtl.arithmetic import saturated
from rtl.isa import CODE, SHIFT

__all__ = ["PostLane", "PostProcess", "parameter_word", "post_settings"]


def parameter_word(bits: int) -> data.StructLayout:
    """Parameters of an output channel, as they stand in the parameter memory."""
    return data.StructLayout({"bias": signed(bits), "shift": SHIFT, "residual_shift": SHIFT})


def post_settings() -> data.StructLayout:
    """Settings of a run: instructions POST and RANGE."""
    return data.StructLayout(
        {
            "uniform": 1,
            "shift": SHIFT,
            "residual": 1,
            "residual_shift": SHIFT,
            "residual_signed": 1,
            "low": CODE,
            "high": CODE,
        }
    )


class PostLane(wiring.Component):
    """``code = saturate(round_half_even((sum + bias + (residual << residual_shift)) / 2**shift))``.

    Latency 5, throughput 1; fixed rate: neither provides nor respects back-pressure. The total is
    kept modulo ``2**bits``.

    Parameters
    ----------
    bits, code_bits : int
        Width of an accumulator and of a code.

    Members
    -------
    sum : In(signed(bits))
    residual : In(signed(code_bits + 1))
    parameters : In(parameter_word)
    low, high : In(signed(code_bits + 1))
        Codes, signed or not.
    code : Out(code_bits)
    """

    latency = 5

    def __init__(self, bits: int, code_bits: int) -> None:
        self.bits = bits
        self.code_bits = code_bits
        super().__init__(
            {
                "sum": In(signed(bits)),
                "residual": In(signed(code_bits + 1)),
                "parameters": In(parameter_word(bits)),
                "low": In(signed(code_bits + 1)),
                "high": In(signed(code_bits + 1)),
                "code": Out(code_bits),
            }
        )

    @staticmethod
    def model(
        bits: int,
        code_bits: int,
        total: np.ndarray,
        residual: np.ndarray,
        bias: np.ndarray | int,
        shift: np.ndarray | int,
        residual_shift: np.ndarray | int,
        low: int,
        high: int,
    ) -> np.ndarray:
        """Unsigned codes; negative ones in two's complement of ``code_bits``. All broadcast."""
        t = np.asarray(total, np.int64) + bias + (np.asarray(residual, np.int64) << residual_shift)
        half = 1 << bits - 1
        wrapped = ((t + half) & ((1 << bits) - 1)) - half
        return requantize(wrapped, shift, low, high) & ((1 << code_bits) - 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self.bits
        # 1: bias added, residual aligned.
        biased = Signal(signed(bits), reset_less=True)
        aligned = Signal(signed(bits), reset_less=True)
        m.d.sync += [
            biased.eq(self.sum + self.parameters.bias),
            aligned.eq(self.residual << self.parameters.residual_shift),
        ]
        # 2: the total.
        total = Signal(signed(bits), reset_less=True)
        m.d.sync += total.eq(biased + aligned)
        shift = [Signal(SHIFT, name=f"shift_{i}", reset_less=True) for i in (1, 2)]
        m.d.sync += [shift[0].eq(self.parameters.shift), shift[1].eq(shift[0])]
        # 3: floor, the bit below it, and whether anything lies below that bit.
        shifted = Signal(signed(bits + 1))
        below = Signal(bits)
        floor = Signal(signed(bits), reset_less=True)
        half, rest = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            shifted.eq(Cat(Const(0, 1), total).as_signed() >> shift[1]),
        ]
        # 2**shift - 1, of which a bit is one look-up table; a shift and a subtraction take several.
        ones = Const(0, 1)
        for bit in shift[1]:
            every = bit.replicate(len(ones))
            ones = Cat(ones | every, ones & every)
        # Without its lowest bit: ones below the bit of one half.
        m.d.comb += below.eq(ones[1:])
        m.d.sync += [
            floor.eq(shifted >> 1),
            half.eq(shifted[0]),
            rest.eq((total & below).any()),
        ]
        # 4: to the nearest, ties to even. Only a floor near the codes matters from here on.
        near = self.code_bits + 1
        rounded = Signal(signed(near + 1), reset_less=True)
        far, negative = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            rounded.eq(floor[:near].as_signed() + (half & (rest | floor[0]))),
            far.eq((floor >> near - 1) != floor[-1].replicate(bits).as_signed()),
            negative.eq(floor[-1]),
        ]
        # 5: saturated.
        m.d.sync += self.code.eq(
            Mux(
                far,
                Mux(negative, self.low, self.high)[: self.code_bits],
                saturated(rounded, self.low, self.high, self.code_bits),
            )
        )
        return m


class PostProcess(wiring.Component):
    """Finished words of sums to words of codes, each lane with its channel's parameters.

    Parameters come as a stream, ``lanes`` words for each group of outputs; the next group's are
    loaded while this one's are used. A ``uniform`` run takes none: its bias is 0 and its shifts are
    settings.

    Latency 6, throughput 1; at the input back-pressure (a word waits for its parameters and its
    residual), at the output none.

    Parameters
    ----------
    lanes, bits, code_bits : int

    Members
    -------
    settings : In(post_settings)
    start : In(1)
        A cycle before a run: forgets loaded parameters.
    parameters : In(stream of parameter_word)
    residual : In(stream of ArrayLayout(code_bits, lanes))
    i : In(stream of finished_word)
    valid : Out(1)
    o : Out(ArrayLayout(code_bits, lanes))
    """

    latency = 1 + PostLane.latency

    def __init__(self, lanes: int, bits: int, code_bits: int) -> None:
        self.lanes = lanes
        self.bits = bits
        self.code_bits = code_bits
        super().__init__(
            {
                "settings": In(post_settings()),
                "start": In(1),
                "parameters": In(stream.Signature(parameter_word(bits))),
                "residual": In(stream.Signature(data.ArrayLayout(code_bits, lanes))),
                "i": In(stream.Signature(finished_word(lanes, bits))),
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
        group_first: np.ndarray,
    ) -> np.ndarray:
        """Unsigned codes ``[words, lanes]`` of a run.

        Parameters
        ----------
        bits, code_bits : int
            Width of an accumulator and of a code.
        settings : dict
            Fields of :func:`post_settings`.
        parameters : dict of int64 [groups * lanes]
            Fields of :func:`parameter_word`; not looked at in a ``uniform`` run.
        residual : int64 [words, lanes]
            Unsigned codes; not looked at without ``residual``.
        sums : int64 [words, lanes]
        group_first : bool [words]
        """
        half = 1 << code_bits - 1
        extended = np.zeros_like(sums)
        if settings["residual"]:
            offset = half if settings["residual_signed"] else 0
            extended = (residual ^ offset) - offset
        if settings["uniform"]:
            own = {key: settings[key] for key in ("shift", "residual_shift")} | {"bias": 0}
        else:
            group = np.cumsum(group_first) - 1
            own = {key: v.reshape(-1, sums.shape[1])[group] for key, v in parameters.items()}
        span = {"low": settings["low"], "high": settings["high"]}
        return PostLane.model(bits, code_bits, sums, extended, **own, **span)

    def elaborate(self, platform) -> Module:
        m = Module()
        settings = self.settings
        lanes = range(self.lanes)
        layout = parameter_word(self.bits)
        loading = [Signal(layout, name=f"loading_{i}", reset_less=True) for i in lanes]
        active = [Signal(layout, name=f"active_{i}", reset_less=True) for i in lanes]

        # Loading: channels enter at the far end, so that after `lanes` words channel 0 is at 0.
        loaded = Signal(range(self.lanes + 1))
        full = Signal()
        m.d.comb += [full.eq(loaded == self.lanes), self.parameters.ready.eq(~full)]
        with m.If(self.parameters.valid & self.parameters.ready):
            m.d.sync += loaded.eq(loaded + 1)
            m.d.sync += [a.eq(b) for a, b in zip(loading, [*loading[1:], self.parameters.payload])]

        # Stage 0: the first word of a group brings its parameters along.
        have_parameters, have_residual, accept, swap = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            have_parameters.eq(settings.uniform | ~self.i.p.group_first | full),
            have_residual.eq(~settings.residual | self.residual.valid),
            self.i.ready.eq(have_parameters & have_residual),
            accept.eq(self.i.valid & self.i.ready),
            self.residual.ready.eq(self.i.valid & have_parameters & settings.residual),
            swap.eq(accept & self.i.p.group_first & ~settings.uniform),
        ]
        with m.If(swap):
            m.d.sync += loaded.eq(0)
            m.d.sync += [a.eq(b) for a, b in zip(active, loading)]
        with m.If(self.start):
            m.d.sync += loaded.eq(0)
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(accept, valid[:-1]))
        m.d.comb += self.valid.eq(valid[-1])

        for i in lanes:
            m.submodules[f"lane_{i}"] = lane = PostLane(self.bits, self.code_bits)
            total = Signal(signed(self.bits), name=f"sum_{i}", reset_less=True)
            residual = Signal(signed(self.code_bits + 1), name=f"residual_{i}", reset_less=True)
            code = self.residual.p[i]
            extended = Cat(code, code[-1] & settings.residual_signed).as_signed()
            m.d.sync += [
                total.eq(self.i.p.sums[i]),
                residual.eq(Mux(settings.residual, extended, 0)),
            ]
            m.d.comb += [
                lane.sum.eq(total),
                lane.residual.eq(residual),
                lane.low.eq(settings.low[: self.code_bits + 1].as_signed()),
                lane.high.eq(settings.high[: self.code_bits + 1].as_signed()),
                self.o[i].eq(lane.code),
            ]
            with m.If(settings.uniform):
                m.d.comb += [
                    lane.parameters.bias.eq(0),
                    lane.parameters.shift.eq(settings.shift),
                    lane.parameters.residual_shift.eq(settings.residual_shift),
                ]
            with m.Else():
                m.d.comb += lane.parameters.eq(active[i])
        return m
