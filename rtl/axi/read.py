"""A master that reads bursts and gives their beats as a stream."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.elastic import Elastic
from rtl.axi.signatures import AxiConfig, AxiRead

__all__ = ["INCR", "MODIFIABLE", "ReadMaster", "burst_layout"]

INCR = 1
MODIFIABLE = 0b0011
"""AxCACHE: normal memory, bufferable, not cacheable."""


def burst_layout(config: AxiConfig) -> data.StructLayout:
    """A burst: address of its first beat, in beats, and its beats minus one.

    It must not cross 4096 bytes.
    """
    return data.StructLayout({"address": config.beat_address_bits, "length": config.length_bits})


class ReadMaster(wiring.Component):
    """Reads bursts, in order.

    Up to ``outstanding`` bursts are asked for and unanswered. Throughput a beat a cycle, and a
    burst in two; ``o`` may hold beats back, and the bus then waits. Latency 1 from a burst to
    ARVALID, 1 from a beat on the bus to ``o``.

    A beat with an error (RRESP SLVERR or DECERR) does not go to ``o``; ``failed`` is high while it
    is offered. While ``stop`` is high, no burst is taken; those asked for are read to their end,
    and their beats are dropped. With ``idle`` high, nothing is under way on the bus.

    Parameters
    ----------
    config : AxiConfig

    Members
    -------
    burst : In(stream of burst_layout)
    o : Out(stream of data_bits)
    stop : In(1)
    idle, failed : Out(1)
    response : Out(2)
        RRESP of the beat; of use with ``failed``.
    axi : Out(AxiRead)
    """

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(
            {
                "burst": In(stream.Signature(burst_layout(config))),
                "o": Out(stream.Signature(config.data_bits)),
                "stop": In(1),
                "idle": Out(1),
                "failed": Out(1),
                "response": Out(2),
                "axi": Out(AxiRead(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, axi, burst = self.config, self.axi, self.burst
        outstanding = Signal(range(config.outstanding + 1))
        asked, answered, room = Signal(), Signal(), Signal()

        # Ask: an address stays until it is taken.
        m.d.comb += [
            burst.ready.eq((~axi.arvalid | axi.arready) & room & ~self.stop),
            asked.eq(burst.valid & burst.ready),
            axi.arid.eq(0),
            axi.arsize.eq(config.beat_shift),
            axi.arburst.eq(INCR),
            axi.arcache.eq(MODIFIABLE),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(asked):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(burst.p.address << config.beat_shift),
                axi.arlen.eq(burst.p.length),
            ]

        # Answer: the last beat of a burst frees its place.
        m.submodules.beats = beats = Elastic(config.data_bits)
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        m.d.comb += [
            axi.rready.eq(beats.i.ready | self.stop),
            answered.eq(axi.rvalid & axi.rready & axi.rlast),
            beats.i.payload.eq(axi.rdata),
            beats.i.valid.eq(axi.rvalid & ~axi.rresp[1] & ~self.stop),
            self.failed.eq(axi.rvalid & axi.rresp[1]),
            self.response.eq(axi.rresp),
            self.idle.eq(outstanding == 0),
        ]
        m.d.sync += [
            outstanding.eq(outstanding + asked - answered),
            # Seen in the cycle after, when no burst is asked for.
            room.eq((outstanding != config.outstanding) & ~asked),
        ]
        return m
