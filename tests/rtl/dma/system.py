"""Both channels with small memories, and a machine that only takes them away."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import Axi, AxiConfig, AxiLite
from rtl.dma.engine import Dma
from rtl.dma.transfer import DmaConfig
from rtl.features import FeatureMemory
from rtl.host import HostBus, HostPort
from rtl.registers import Region, State
from rtl.store import Store

__all__ = ["SYSTEM", "DmaMachine", "DmaSystem"]

SYSTEM = DmaConfig(
    AxiConfig(outstanding=4),
    (
        (Region.INSTRUCTIONS, 64, 64),
        (Region.WEIGHTS, 100, 72),
        (Region.PARAMETERS, 32, 200),
        (Region.FEATURES, 256, 128),
    ),
)
FINGERPRINT = 0xFEEDBEEF


def machine_side(bits: int) -> dict:
    """What a machine does with the features.

    Members
    -------
    machine_writes : In(1)
        The machine writes ``machine_word`` to the last feature word.
    machine_reads : In(1), takes : In(1), residual : Out, residual_valid : Out(1)
        It reads that word, and takes it when it has come.
    """
    return {
        "machine_writes": In(1),
        "machine_word": In(bits),
        "machine_reads": In(1),
        "takes": In(1),
        "residual": Out(bits),
        "residual_valid": Out(1),
    }


class DmaMachine(wiring.Component):
    """Host port, channels and memories on one host bus.

    Members
    -------
    bus : In(HostBus), axi_0, axi_1 : Out(Axi)
    those of :func:`machine_side`
    """

    def __init__(self, config: DmaConfig = SYSTEM) -> None:
        self.config = config
        super().__init__(
            {
                "bus": In(HostBus()),
                "axi_0": Out(Axi(config.axi)),
                "axi_1": Out(Axi(config.axi)),
                **machine_side(config.bits_of(Region.FEATURES)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dma = dma = Dma(self.config)
        for n in range(2):
            wiring.connect(m, getattr(dma, f"axi_{n}"), wiring.flipped(getattr(self, f"axi_{n}")))

        sizes = {r: ((words - 1).bit_length(), bits) for r, words, bits in self.config.regions}
        m.submodules.host = host = HostPort(sizes, FINGERPRINT)
        for bus in (host.bus, dma.bus):
            m.d.comb += [
                bus.address.eq(self.bus.address),
                bus.write.eq(self.bus.write),
                bus.write_data.eq(self.bus.write_data),
                bus.read.eq(self.bus.read),
            ]
        m.d.comb += [
            self.bus.read_data.eq(host.bus.read_data | dma.bus.read_data),
            self.bus.read_valid.eq(host.bus.read_valid),
            host.state.eq(State.IDLE),
        ]
        for region, words, bits in self.config.regions:
            name = region.name.lower()
            if region is Region.FEATURES:
                store = features = FeatureMemory(bits, words, 1, 2, shared=True)
            else:
                store = Store(bits, words, machine_writes=False)
            m.submodules[name] = store
            wiring.connect(m, getattr(host, name), getattr(dma, f"host_{name}"))
            wiring.connect(m, getattr(dma, f"memory_{name}"), store.host)
        last = features.words - 1
        m.d.comb += [
            features.write.eq(self.machine_writes),
            features.write_address.eq(last),
            features.write_data.eq(self.machine_word),
            features.residual_address.valid.eq(self.machine_reads),
            features.residual_address.payload.eq(last),
            features.residual.ready.eq(self.takes),
            self.residual.eq(features.residual.payload),
            self.residual_valid.eq(features.residual.valid),
            dma.machine_writes.eq(self.machine_writes),
            dma.machine_reads.eq(features.reads),
        ]
        return m


class DmaSystem(wiring.Component):
    """A :class:`DmaMachine` on one AXI4-Lite port.

    Members
    -------
    axi : In(AxiLite), axi_0, axi_1 : Out(Axi)
    those of :func:`machine_side`
    """

    def __init__(self, config: DmaConfig = SYSTEM) -> None:
        self.config = config
        super().__init__(
            {
                "axi": In(AxiLite(LiteSlave.address_bits)),
                "axi_0": Out(Axi(config.axi)),
                "axi_1": Out(Axi(config.axi)),
                **machine_side(config.bits_of(Region.FEATURES)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slave = slave = LiteSlave()
        m.submodules.machine = machine = DmaMachine(self.config)
        wiring.connect(m, wiring.flipped(self.axi), slave.axi)
        wiring.connect(m, slave.bus, machine.bus)
        for n in range(2):
            port = f"axi_{n}"
            wiring.connect(m, getattr(machine, port), wiring.flipped(getattr(self, port)))
        for name, member in machine_side(self.config.bits_of(Region.FEATURES)).items():
            outer, inner = getattr(self, name), getattr(machine, name)
            m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        return m
