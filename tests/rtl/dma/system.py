"""Both channels with small memories behind AXI4-Lite, and a machine that only takes them away."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import Axi, AxiConfig, AxiLite
from rtl.dma.engine import Dma
from rtl.dma.transfer import DmaConfig
from rtl.features import FeatureMemory
from rtl.host import HostPort
from rtl.registers import Region, State
from rtl.store import Store

__all__ = ["SYSTEM", "DmaSystem"]

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


class DmaSystem(wiring.Component):
    """Host port, channels and memories on one AXI4-Lite port.

    Members
    -------
    axi : In(AxiLite), axi_0, axi_1 : Out(Axi)
    machine_writes : In(1)
        The machine writes ``machine_word`` to the last feature word.
    machine_reads : In(1), takes : In(1), residual : Out, residual_valid : Out(1)
        It reads that word, and takes it when it has come.
    """

    def __init__(self, config: DmaConfig = SYSTEM) -> None:
        self.config = config
        bits = config.bits_of(Region.FEATURES)
        super().__init__(
            {
                "axi": In(AxiLite(LiteSlave.address_bits)),
                "axi_0": Out(Axi(config.axi)),
                "axi_1": Out(Axi(config.axi)),
                "machine_writes": In(1),
                "machine_word": In(bits),
                "machine_reads": In(1),
                "takes": In(1),
                "residual": Out(bits),
                "residual_valid": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slave = slave = LiteSlave()
        m.submodules.dma = dma = Dma(self.config)
        wiring.connect(m, wiring.flipped(self.axi), slave.axi)
        for n in range(2):
            wiring.connect(m, getattr(dma, f"axi_{n}"), wiring.flipped(getattr(self, f"axi_{n}")))

        sizes = {r: ((words - 1).bit_length(), bits) for r, words, bits in self.config.regions}
        m.submodules.host = host = HostPort(sizes, FINGERPRINT)
        for bus in (host.bus, dma.bus):
            m.d.comb += [
                bus.address.eq(slave.bus.address),
                bus.write.eq(slave.bus.write),
                bus.write_data.eq(slave.bus.write_data),
                bus.read.eq(slave.bus.read),
            ]
        m.d.comb += [
            slave.bus.read_data.eq(host.bus.read_data | dma.bus.read_data),
            slave.bus.read_valid.eq(host.bus.read_valid),
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
