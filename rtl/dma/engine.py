"""Two channels with their registers, and their ways to the machine's memories."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.signatures import Axi
from rtl.dma.channel import DmaChannel
from rtl.dma.control import DmaControl
from rtl.dma.marks import mark_layout
from rtl.dma.registers import CHANNELS
from rtl.dma.share import FeatureShare, WriteShare
from rtl.dma.transfer import DmaConfig, transfer_layout
from rtl.host import HostBus
from rtl.registers import Region
from rtl.store import HostAccess, SharedAccess

__all__ = ["Dma", "chosen_layout"]


def chosen_layout(config: DmaConfig) -> data.StructLayout:
    """A transfer, and which channel is to do it."""
    return data.StructLayout({"channel": 1, "transfer": transfer_layout(config)})


class Dma(wiring.Component):
    """Two channels that work alike, each at an AXI4 port of its own.

    The machine's transfers and those that the host writes to START go into the same queues; the
    host's goes first. A channel's reset is the host's or ``reset``, which is for both.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    bus : In(HostBus)
        See :class:`DmaControl`.
    axi_0, axi_1 : Out(Axi)
    transfer : In(stream of chosen_layout)
    mark : In(stream of mark_layout)
        See :class:`DmaControl`.
    ended_0, ended_1, idle_0, idle_1 : Out(1), error_0, error_1 : Out(4)
        See :class:`DmaChannel`.
    reset : In(1)
    host_<region> : In(HostAccess)
        From the host port, for each region, in lower case.
    memory_<region> : Out(HostAccess), of FEATURES Out(SharedAccess)
        To the memory.
    machine_writes, machine_reads : In(1)
        See :class:`FeatureShare`.
    """

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        members: dict = {
            "bus": In(HostBus()),
            "transfer": In(stream.Signature(chosen_layout(config))),
            "mark": In(stream.Signature(mark_layout())),
            "reset": In(1),
            "machine_writes": In(1),
            "machine_reads": In(1),
        }
        for n in range(CHANNELS):
            members |= {
                f"axi_{n}": Out(Axi(config.axi)),
                f"ended_{n}": Out(1),
                f"idle_{n}": Out(1),
                f"error_{n}": Out(4),
            }
        for region, words, bits in config.regions:
            name, address_bits = region.name.lower(), (words - 1).bit_length()
            access = SharedAccess if region is Region.FEATURES else HostAccess
            members |= {
                f"host_{name}": In(HostAccess(address_bits, bits)),
                f"memory_{name}": Out(access(address_bits, bits)),
            }
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.control = control = DmaControl(config)
        wiring.connect(m, wiring.flipped(self.bus), control.bus)
        wiring.connect(m, wiring.flipped(self.mark), control.mark)
        # All that writes to START is the same word.
        host_pushes = control.transfer_0.valid | control.transfer_1.valid
        chosen, own = Signal(transfer_layout(config)), Signal()
        m.d.comb += [
            own.eq(self.transfer.valid & ~host_pushes),
            chosen.eq(Mux(host_pushes, control.transfer_0.payload, self.transfer.p.transfer)),
        ]
        channels = []
        for n in range(CHANNELS):
            channel = DmaChannel(config)
            m.submodules[f"channel_{n}"] = channel
            channels.append(channel)
            wiring.connect(m, channel.axi, wiring.flipped(getattr(self, f"axi_{n}")))
            hosts, state = getattr(control, f"transfer_{n}"), getattr(control, f"state_{n}")
            m.d.comb += [
                channel.transfer.payload.eq(chosen),
                channel.transfer.valid.eq(hosts.valid | (own & (self.transfer.p.channel == n))),
                hosts.ready.eq(channel.transfer.ready),
                channel.reset.eq(self.reset | getattr(control, f"reset_{n}")),
                getattr(control, f"index_{n}").eq(channel.index),
                channel.base.eq(getattr(control, f"base_{n}")),
                channel.size.eq(getattr(control, f"size_{n}")),
                *(
                    getattr(state, name).eq(getattr(channel, name))
                    for name in state.signature.members
                ),
                *(
                    getattr(self, f"{name}_{n}").eq(getattr(channel, name))
                    for name in ("ended", "idle", "error")
                ),
            ]
        room = Cat(channel.transfer.ready for channel in channels)
        m.d.comb += self.transfer.ready.eq(
            ~host_pushes & room.bit_select(self.transfer.p.channel, 1)
        )
        self.connect_memories(m, channels)
        return m

    def connect_memories(self, m: Module, channels: list) -> None:
        """Each region's share between the channels, the host port and the memory."""
        granted: list[list] = [[] for _ in channels]
        for place, (region, words, bits) in enumerate(self.config.regions):
            name, address_bits = region.name.lower(), (words - 1).bit_length()
            kind = FeatureShare if region is Region.FEATURES else WriteShare
            m.submodules[f"share_{name}"] = share = kind(address_bits, bits)
            wiring.connect(m, wiring.flipped(getattr(self, f"host_{name}")), share.host)
            wiring.connect(m, share.memory, wiring.flipped(getattr(self, f"memory_{name}")))
            for n, channel in enumerate(channels):
                write = getattr(share, f"write_{n}")
                m.d.comb += [
                    write.valid.eq(channel.write.p.to[place]),
                    write.p.address.eq(channel.write.p.address),
                    write.p.data.eq(channel.write.p.data),
                ]
                granted[n].append(write.ready)
            if region is Region.FEATURES:
                m.d.comb += [
                    share.machine_writes.eq(self.machine_writes),
                    share.machine_reads.eq(self.machine_reads),
                ]
                for n, channel in enumerate(channels):
                    read = getattr(share, f"read_{n}")
                    m.d.comb += [
                        read.valid.eq(channel.read.valid),
                        read.payload.eq(channel.read.payload),
                        channel.read.ready.eq(read.ready),
                        channel.read_data.eq(share.memory.read_data),
                    ]
        for channel, ready in zip(channels, granted):
            # A share is ready for the one that has a word for it.
            m.d.comb += channel.write.ready.eq(Cat(ready).any())
