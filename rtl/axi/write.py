"""A master that writes bursts of beats that all wait in its queue before the bus hears of them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.axi.read import INCR, MODIFIABLE, burst_layout
from rtl.axi.signatures import AxiConfig, AxiWrite

__all__ = ["WriteMaster"]


class WriteMaster(wiring.Component):
    """Writes bursts, in order.

    A burst begins when all its beats are in the queue, which holds two of the longest. So a burst
    that the bus has seen needs nothing more of the machine: it cannot stall the bus, and it ends
    with its own data whatever happens meanwhile. Address and data are offered without waiting for
    each other, as AXI demands; up to ``outstanding`` bursts await their response.

    Throughput one beat a cycle, and a burst in three. Latency 3 from the last beat of a burst at
    ``i`` to AWVALID.

    ``failed`` is high in the cycle of a response SLVERR or DECERR. While ``stop`` is high, no burst
    begins; those begun are written to their end. With ``idle`` high, nothing is under way on the
    bus; beats may still be in the queue, and go with a reset.

    Parameters
    ----------
    config : AxiConfig

    Members
    -------
    burst : In(stream of burst_layout)
    i : In(stream of data_bits)
    left : Out(1)
        A beat has left the queue.
    stop : In(1)
    idle, failed : Out(1)
    response : Out(2)
        BRESP; of use with ``failed``.
    axi : Out(AxiWrite)
    """

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(
            {
                "burst": In(stream.Signature(burst_layout(config))),
                "i": In(stream.Signature(config.data_bits)),
                "left": Out(1),
                "stop": In(1),
                "idle": Out(1),
                "failed": Out(1),
                "response": Out(2),
                "axi": Out(AxiWrite(config)),
            }
        )

    @property
    def queue_beats(self) -> int:
        """Beats that can wait."""
        return 2 * self.config.burst

    def elaborate(self, platform) -> Module:
        m = Module()
        config, axi, burst = self.config, self.axi, self.burst
        outstanding = Signal(range(config.outstanding + 1))
        begun, answered, taken, room = Signal(), Signal(), Signal(), Signal()

        m.submodules.beats = beats = SyncFIFOBuffered(
            width=config.data_bits, depth=self.queue_beats + 1
        )
        # Beats in the queue that belong to no burst that has begun.
        free = Signal(range(self.queue_beats + 2))
        # Whether those of the burst that waits are among them.
        enough = Signal()
        pushed = Signal()
        m.d.comb += [
            self.i.ready.eq(beats.w_rdy),
            beats.w_en.eq(self.i.valid),
            beats.w_data.eq(self.i.payload),
            pushed.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += enough.eq(burst.valid & ~begun & (free > burst.p.length))
        with m.If(begun):
            m.d.sync += free.eq(free - burst.p.length - ~pushed)
        with m.Else():
            m.d.sync += free.eq(free + pushed)

        # Begin: the address into its register, the length into one for the data.
        next_valid, next_length, take_next = Signal(), Signal(config.length_bits), Signal()
        m.d.comb += [
            burst.ready.eq((~axi.awvalid | axi.awready) & ~next_valid & room & enough & ~self.stop),
            begun.eq(burst.valid & burst.ready),
            axi.awid.eq(0),
            axi.awsize.eq(config.beat_shift),
            axi.awburst.eq(INCR),
            axi.awcache.eq(MODIFIABLE),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(take_next):
            m.d.sync += next_valid.eq(0)
        with m.If(begun):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(burst.p.address << config.beat_shift),
                axi.awlen.eq(burst.p.length),
                next_valid.eq(1),
                next_length.eq(burst.p.length),
            ]

        # Data: beats leave the queue as the bus takes them.
        active, remaining, last = Signal(), Signal(config.length_bits), Signal()
        m.d.comb += [
            axi.wvalid.eq(active & beats.r_rdy),
            axi.wdata.eq(beats.r_data),
            axi.wstrb.eq(~0),
            axi.wlast.eq(last),
            taken.eq(active & beats.r_rdy & axi.wready),
            beats.r_en.eq(active & axi.wready),
            take_next.eq(next_valid & (~active | (taken & last))),
            self.left.eq(taken),
        ]
        with m.If(taken):
            m.d.sync += [remaining.eq(remaining - 1), last.eq(remaining == 1), active.eq(~last)]
        with m.If(take_next):
            m.d.sync += [active.eq(1), remaining.eq(next_length), last.eq(next_length == 0)]

        # Responses are always taken.
        m.d.comb += [
            axi.bready.eq(1),
            answered.eq(axi.bvalid),
            self.failed.eq(axi.bvalid & axi.bresp[1]),
            self.response.eq(axi.bresp),
            self.idle.eq(outstanding == 0),
        ]
        m.d.sync += [
            outstanding.eq(outstanding + begun - answered),
            # Seen in the cycle after, when no burst begins.
            room.eq((outstanding != config.outstanding) & ~begun),
        ]
        return m
