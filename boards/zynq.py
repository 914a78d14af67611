"""The whole logic of a Zynq: processing system, bridge and machine, without a block design."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from boards.processor import PS7, PS8, ProcessorPorts
from rtl.architecture import Architecture
from rtl.axi.bridge import LiteBridge
from rtl.axi.lite import LiteSlave
from rtl.peripheral import Peripheral

__all__ = ["KINDS", "ZynqSystem"]

KINDS: dict[str, ProcessorPorts] = {"ps7": PS7, "ps8": PS8}

RESET_CYCLES = 8
"""Cycles of reset after the clock has come and the processor has released the logic."""


class ZynqSystem(wiring.Component):
    """What is built for a board: but for an LED it has no ports, all others are the processor's.

    The machine runs on the first clock that the processor makes for the logic. Its registers stand
    at ``base``, in the window of the first master port; its interrupt is the first of the logic's.
    Memory ports of the machine take two high-performance ports that reach the memory apart.

    Parameters
    ----------
    architecture : Architecture
    family : str
        See :class:`rtl.accelerator.Accelerator`.
    kind : str
        ``ps7`` or ``ps8``.
    base : int
    has_led : bool

    Members
    -------
    led : Out(1)
        If there is one: the interrupt line.
    """

    def __init__(
        self, architecture: Architecture, family: str, kind: str, base: int, has_led: bool
    ) -> None:
        self.architecture = architecture
        self.family = family
        self.kind = kind
        self.base = base
        self.has_led = has_led
        super().__init__({"led": Out(1)} if has_led else {})

    def elaborate(self, platform) -> Module:
        m = Module()
        ports = KINDS[self.kind]
        m.submodules.machine = machine = Peripheral(self.architecture, self.family)
        m.submodules.bridge = bridge = LiteBridge(
            ports.master_config, LiteSlave.address_bits, self.base
        )
        wiring.connect(m, bridge.lite, machine.control)

        m.domains.sync = ClockDomain()
        # The same clock: it runs before the reset ends.
        m.domains.start = ClockDomain(reset_less=True)
        clocks = Signal(4)
        resets = Signal(4)
        released = Signal(RESET_CYCLES)
        free = resets[0] if ports.resets else Const(1)
        m.submodules.buffer = Instance(ports.buffer, i_I=clocks[0], o_O=ClockSignal())
        m.d.comb += [ClockSignal("start").eq(ClockSignal()), ResetSignal().eq(~released[-1])]
        m.d.start += released.eq(Cat(free, released[:-1] & free.replicate(RESET_CYCLES - 1)))

        memory: dict = {}
        for index, name in enumerate(machine.memory_ports):
            memory |= ports.slave(m, index, getattr(machine, name), ClockSignal())
        m.submodules.ps = Instance(
            ports.primitive,
            **ports.common(clocks, resets, machine.irq),
            **ports.master(m, bridge.axi, ClockSignal()),
            **memory,
        )
        if self.has_led:
            m.d.comb += self.led.eq(machine.irq)
        return m
