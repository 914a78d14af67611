"""A bridge with the AXI4-Lite slave and a memory behind it."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from rtl.axi.bridge import LiteBridge
from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import Axi, AxiConfig

__all__ = ["BASE", "CONFIG", "WORDS", "Bridged"]

CONFIG = AxiConfig(address_bits=32, data_bits=32, id_bits=12)
BASE = 0x4000_0000
WORDS = 1 << 9


class Bridged(wiring.Component):
    """Words of a memory, at ``BASE`` and every ``4 * WORDS`` bytes on."""

    def __init__(self) -> None:
        super().__init__({"axi": In(Axi(CONFIG))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.bridge = bridge = LiteBridge(CONFIG, LiteSlave.address_bits, BASE)
        m.submodules.slave = slave = LiteSlave()
        m.submodules.store = store = memory.Memory(shape=unsigned(32), depth=WORDS, init=[])
        wiring.connect(m, wiring.flipped(self.axi), bridge.axi)
        wiring.connect(m, bridge.lite, slave.axi)
        read, write, bus = store.read_port(), store.write_port(), slave.bus
        later = Signal()
        m.d.comb += [
            read.addr.eq(bus.address),
            read.en.eq(bus.read),
            write.addr.eq(bus.address),
            write.data.eq(bus.write_data),
            write.en.eq(bus.write),
        ]
        m.d.sync += [later.eq(bus.read), bus.read_valid.eq(later), bus.read_data.eq(read.data)]
        return m
