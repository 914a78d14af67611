"""Checks transfers before anything of them is issued, without multipliers."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.registers import TransferError
from rtl.dma.transfer import ADDRESS, COUNT, STRIDE, DmaConfig, transfer_layout
from rtl.registers import Region

__all__ = ["Checker", "checked_layout", "judge"]


def checked_layout(config: DmaConfig) -> data.StructLayout:
    """A transfer with the address of its first beat and the beats of a row; or an ``error``.

    Where it is ``refused`` only the error has a meaning.
    """
    return data.StructLayout(
        {
            "refused": 1,
            "error": 4,
            "store": 1,
            "region": 3,
            "first": config.axi.beat_address_bits,
            "row_beats": config.row_bits,
            "memory_stride": STRIDE,
            "rows": COUNT,
            "address": ADDRESS,
            "words": COUNT,
            "address_stride": STRIDE,
        }
    )


def judge(config: DmaConfig, transfer: dict[str, int], base: int, size: int) -> TransferError:
    """The error of a transfer of a buffer of ``size`` beats from beat ``base`` on, or NONE."""
    sizes = {int(region): (words, config.beats(bits)) for region, words, bits in config.regions}
    if transfer["region"] not in sizes:
        return TransferError.NO_SUCH_REGION
    if transfer["store"] and transfer["region"] != Region.FEATURES:
        return TransferError.NO_SUCH_REGION
    if not transfer["words"] or not transfer["rows"]:
        return TransferError.EMPTY
    words, beats = sizes[transfer["region"]]
    behind, count = transfer["rows"] - 1, transfer["words"]
    if transfer["address"] + behind * transfer["address_stride"] + count > words:
        return TransferError.OUTSIDE_REGION
    end = transfer["offset"] + behind * transfer["memory_stride"] + count * beats
    if end > size or base + size > 1 << config.axi.beat_address_bits:
        return TransferError.OUTSIDE_BUFFER
    return TransferError.NONE


class Checker(wiring.Component):
    """Passes transfers on with the places of their words, or with an error.

    A transfer ends in its buffer at ``offset + (rows - 1) * memory_stride + words * beats`` and in
    its region at ``address + (rows - 1) * address_stride + words``. The products are sums of
    shifted addends, a bit of the factor a cycle. Latency ``7 + n(beats) + n(rows - 1)`` with
    ``n(k)`` the bits of ``k`` and ``beats`` those of a word; the next transfer is taken when one
    has left. So it takes at most 30 cycles, while the transfer before moves its words.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    i : In(stream of transfer_layout)
    o : Out(stream of checked_layout)
    index : Out
        The buffer whose ``base`` and ``size`` are asked for.
    base, size : In
        In beats, from the second cycle after ``index`` on.
    idle : Out(1)
    """

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        address_bits = config.axi.beat_address_bits
        super().__init__(
            {
                "i": In(stream.Signature(transfer_layout(config))),
                "o": Out(stream.Signature(checked_layout(config))),
                "index": Out((config.buffers - 1).bit_length()),
                "base": In(address_bits),
                "size": In(address_bits),
                "idle": Out(1),
            }
        )

    @staticmethod
    def latency(beats: int, rows: int) -> int:
        """Cycles from a transfer at ``i`` to ``o`` where it is no error."""
        return 7 + beats.bit_length() + (rows - 1).bit_length()

    def elaborate(self, platform) -> Module:
        m = Module()
        config, address_bits = self.config, self.config.axi.beat_address_bits
        transfer = Signal(transfer_layout(config), reset_less=True)
        o = self.o.p
        m.d.comb += self.index.eq(transfer.base)

        known, beats, depth = (
            Signal(),
            Signal(range(config.most_beats + 1)),
            Signal(ADDRESS.width + 1),
        )
        with m.Switch(transfer.region):
            for region, words, bits in config.regions:
                with m.Case(region):
                    m.d.comb += [
                        known.eq(~transfer.store | (region == Region.FEATURES)),
                        beats.eq(config.beats(bits)),
                        depth.eq(words),
                    ]

        # Memory and region: sum, addend, and whether either has outgrown its bits.
        memory = Summand(m, "memory", address_bits + 1)
        place = Summand(m, "region", ADDRESS.width + 1)
        # The factor is spent where nothing of it is left.
        factor, spent = Signal(COUNT, reset_less=True), Signal()
        multiply, both = Signal(), Signal()
        with m.If(multiply):
            memory.step(m, factor[0])
            with m.If(both):
                place.step(m, factor[0])
            m.d.sync += [factor.eq(factor >> 1), spent.eq(factor[1:] == 0)]

        less_one, one_row = Signal(COUNT, reset_less=True), Signal()
        unknown, no_words, no_rows, outside_region, outside_buffer, wraps = (
            Signal(name=name)
            for name in (
                "unknown",
                "no_words",
                "no_rows",
                "outside_region",
                "outside_buffer",
                "wraps",
            )
        )
        buffer_end = Signal(address_bits + 1)
        m.d.comb += buffer_end.eq(self.base + self.size)

        # One-hot, because what a state decides is decided for many bits.
        names = ("take", "begin", "row", "rows", "place", "compare", "judge")
        state = {name: Signal(name=name, init=name == "take") for name in names}
        m.d.comb += [self.i.ready.eq(state["take"]), self.idle.eq(state["take"])]
        with m.If(state["take"]):
            m.d.sync += transfer.eq(self.i.p)
            with m.If(self.i.valid):
                m.d.sync += [state["take"].eq(0), state["begin"].eq(1)]
        with m.If(state["begin"]):
            m.d.sync += [
                *memory.begin(0, transfer.words),
                *place.begin(transfer.words, 0),
                factor.eq(beats),
                spent.eq(0),
                less_one.eq(transfer.rows - 1),
                one_row.eq(transfer.rows == 1),
                unknown.eq(~known),
                no_words.eq(transfer.words == 0),
                no_rows.eq(transfer.rows == 0),
                state["begin"].eq(0),
                state["row"].eq(1),
            ]
        # words * beats
        with m.If(state["row"] & spent):
            m.d.sync += [
                o.row_beats.eq(memory.sum),
                *memory.following(transfer.memory_stride),
                *place.following(transfer.address_stride),
                factor.eq(less_one),
                spent.eq(one_row),
                state["row"].eq(0),
                state["rows"].eq(1),
            ]
        # + (rows - 1) * stride
        with m.If(state["rows"] & spent):
            m.d.sync += [
                *memory.following(transfer.offset),
                *place.following(transfer.address),
                factor.eq(1),
                state["rows"].eq(0),
                state["place"].eq(1),
            ]
        # + offset
        with m.If(state["place"]):
            m.d.sync += [state["place"].eq(0), state["compare"].eq(1)]
        with m.If(state["compare"]):
            m.d.sync += [
                outside_region.eq(place.over | (place.sum > depth)),
                outside_buffer.eq(memory.over | (memory.sum > self.size)),
                # A buffer may end where the address space does.
                wraps.eq(buffer_end[-1] & buffer_end[:-1].any()),
                state["compare"].eq(0),
                state["judge"].eq(1),
            ]
        with m.If(state["judge"]):
            m.d.sync += [
                o.first.eq(self.base + transfer.offset),
                o.refused.eq(
                    unknown | no_words | no_rows | outside_region | outside_buffer | wraps
                ),
                o.error.eq(TransferError.OUTSIDE_BUFFER),
                state["judge"].eq(0),
                self.o.valid.eq(1),
            ]
            with m.If(unknown):
                m.d.sync += o.error.eq(TransferError.NO_SUCH_REGION)
            with m.Elif(no_words | no_rows):
                m.d.sync += o.error.eq(TransferError.EMPTY)
            with m.Elif(outside_region):
                m.d.sync += o.error.eq(TransferError.OUTSIDE_REGION)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), state["take"].eq(1)]
        m.d.comb += [
            multiply.eq(state["row"] | state["rows"] | state["place"]),
            both.eq(~state["row"]),
        ]
        same = ("store", "region", "memory_stride", "rows", "address", "words", "address_stride")
        m.d.comb += [o[name].eq(transfer[name]) for name in same]
        return m


class Summand:
    """A running sum and an addend that doubles every cycle.

    Both have ``bits`` bits; ``over`` tells that a sum did not fit.
    """

    def __init__(self, m: Module, name: str, bits: int) -> None:
        self.sum = Signal(unsigned(bits), name=f"{name}_sum", reset_less=True)
        self.addend = Signal(unsigned(bits), name=f"{name}_addend", reset_less=True)
        self.lost = Signal(name=f"{name}_lost", reset_less=True)
        self.over = Signal(name=f"{name}_over", reset_less=True)
        self.total = Signal(unsigned(bits + 1), name=f"{name}_total")

    def begin(self, total, addend) -> list:
        """Statements that begin a sum."""
        return [self.sum.eq(total), self.over.eq(0), *self._addend(addend)]

    def following(self, addend) -> list:
        """Statements for the next addend."""
        return self._addend(addend)

    def _addend(self, addend) -> list:
        return [self.addend.eq(addend), self.lost.eq(0)]

    def step(self, m: Module, add) -> None:
        """Add the addend, or not, and double it."""
        m.d.comb += self.total.eq(self.sum + Mux(add, self.addend, 0))
        m.d.sync += [
            self.sum.eq(self.total),
            self.over.eq(self.over | self.total[-1] | (add & self.lost)),
            self.addend.eq(self.addend << 1),
            self.lost.eq(self.lost | self.addend[-1]),
        ]
