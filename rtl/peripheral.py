"""The machine as a peripheral of a processor: its AXI ports and its interrupt."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.accelerator import Accelerator
from rtl.architecture import Architecture
from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import Axi, AxiLite
from rtl.dma.registers import CHANNELS

__all__ = ["Peripheral"]


class Peripheral(wiring.Component):
    """A machine behind an AXI4-Lite slave.

    Byte address ``4 * a`` of ``control`` is the word ``a`` of the machine's host bus, whose reads
    and writes :class:`LiteSlave` makes.

    Parameters
    ----------
    architecture : Architecture
    family : str, optional
        See :class:`Accelerator`.

    Members
    -------
    control : In(AxiLite)
    irq : Out(1)
    axi_0, axi_1 : Out(Axi)
        Ports to external memory, of a machine that has it.
    """

    def __init__(self, architecture: Architecture, family: str | None = None) -> None:
        self.architecture = architecture
        self.family = family
        channels = architecture.channels
        self.memory_ports = tuple(f"axi_{n}" for n in range(CHANNELS)) if channels else ()
        """Names of the members that are AXI4 masters of external memory."""
        ports = {name: Out(Axi(channels.axi)) for name in self.memory_ports} if channels else {}
        super().__init__({"control": In(AxiLite(LiteSlave.address_bits)), "irq": Out(1), **ports})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.machine = machine = Accelerator(self.architecture, self.family)
        m.submodules.slave = slave = LiteSlave()
        wiring.connect(m, wiring.flipped(self.control), slave.axi)
        wiring.connect(m, slave.bus, machine.bus)
        m.d.comb += self.irq.eq(machine.irq)
        for name in self.memory_ports:
            wiring.connect(m, getattr(machine, name), wiring.flipped(getattr(self, name)))
        return m
