"""The machine as a peripheral of a processor: its AXI ports and its interrupt."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.accelerator import Accelerator
from rtl.architecture import Architecture
from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import AxiLite

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
    """

    memory_ports: tuple[str, ...] = ()
    """Names of the members that are AXI4 masters of external memory."""

    def __init__(self, architecture: Architecture, family: str | None = None) -> None:
        self.architecture = architecture
        self.family = family
        super().__init__({"control": In(AxiLite(LiteSlave.address_bits)), "irq": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.machine = machine = Accelerator(self.architecture, self.family)
        m.submodules.slave = slave = LiteSlave()
        wiring.connect(m, wiring.flipped(self.control), slave.axi)
        wiring.connect(m, slave.bus, machine.bus)
        m.d.comb += self.irq.eq(machine.irq)
        return m
