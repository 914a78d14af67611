"""The whole logic of an ECP5 board: oscillator, PLL, serial line and machine."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from quant.errors import NoMulError
from rtl.accelerator import Accelerator
from rtl.architecture import Architecture
from rtl.serial import SerialHost

__all__ = ["Ecp5System", "SerialMachine", "pll_parameters"]

SILENCE_SECONDS = 0.08
"""What ends a command; the driver waits twice as long."""

OSCILLATOR_MHZ = (400, 800)
SLOWEST_COMPARED_MHZ = 3.125
RESET_CYCLES = 8


def pll_parameters(reference_mhz: float, wanted_mhz: float) -> dict[str, int]:
    """Dividers of an EHXPLLL that make exactly ``wanted_mhz``, feedback from its first output.

    Lattice's FPGA-TN-02200: output = reference / CLKI_DIV * CLKFB_DIV; oscillator = output *
    CLKOP_DIV, within 400 to 800 MHz.

    Errors: :class:`NoMulError` where there are none.

    >>> pll_parameters(25, 50)
    {'CLKI_DIV': 1, 'CLKFB_DIV': 2, 'CLKOP_DIV': 8}
    """
    for divider in range(1, 17):
        feedback = wanted_mhz * divider / reference_mhz
        if (
            feedback == int(feedback)
            and 1 <= feedback <= 80
            and reference_mhz / divider >= SLOWEST_COMPARED_MHZ
        ):
            for output in range(1, 129):
                if OSCILLATOR_MHZ[0] <= wanted_mhz * output <= OSCILLATOR_MHZ[1]:
                    return {"CLKI_DIV": divider, "CLKFB_DIV": int(feedback), "CLKOP_DIV": output}
    raise NoMulError(
        f"no dividers make {wanted_mhz} MHz of {reference_mhz} MHz; take a multiple of 5 MHz"
    )


class SerialMachine(wiring.Component):
    """A machine behind a serial line.

    Parameters
    ----------
    architecture : Architecture
    divisor, silence : int
        See :class:`SerialHost`.

    Members
    -------
    receive : In(1), transmit : Out(1), irq : Out(1)
    """

    def __init__(self, architecture: Architecture, divisor: int, silence: int) -> None:
        self.architecture = architecture
        self.divisor = divisor
        self.silence = silence
        super().__init__({"receive": In(1, init=1), "transmit": Out(1, init=1), "irq": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.machine = machine = Accelerator(self.architecture)
        m.submodules.host = host = SerialHost(self.divisor, self.silence)
        wiring.connect(m, host.bus, machine.bus)
        m.d.comb += [
            host.receive.eq(self.receive),
            self.transmit.eq(host.transmit),
            self.irq.eq(machine.irq),
        ]
        return m


class Ecp5System(wiring.Component):
    """What is built for a board: its ports are pins.

    Parameters
    ----------
    architecture : Architecture
    reference_mhz, clock_mhz : float
        Of the oscillator, and the machine's.
    baud : int

    Members
    -------
    clock, receive : In(1)
    transmit, led : Out(1)
        ``led``: the interrupt line.
    """

    def __init__(
        self, architecture: Architecture, reference_mhz: float, clock_mhz: float, baud: int
    ) -> None:
        self.architecture = architecture
        self.pll = pll_parameters(reference_mhz, clock_mhz)
        self.divisor = round(clock_mhz * 1e6 / baud)
        self.silence = round(clock_mhz * 1e6 * SILENCE_SECONDS)
        super().__init__(
            {"clock": In(1), "receive": In(1, init=1), "transmit": Out(1), "led": Out(1)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True)
        locked, released = Signal(), Signal(RESET_CYCLES)
        made = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=self.pll["CLKOP_DIV"] - 1,
            **{f"p_{name}": value for name, value in self.pll.items()},
            i_CLKI=self.clock,
            i_CLKFB=made,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_ENCLKOP=Const(1),
            o_CLKOP=made,
            o_LOCK=locked,
        )
        m.d.comb += [
            ClockSignal("start").eq(made),
            ClockSignal().eq(made),
            ResetSignal().eq(~released[-1]),
        ]
        m.d.start += released.eq(Cat(locked, released[:-1] & locked.replicate(RESET_CYCLES - 1)))
        m.submodules.machine = machine = SerialMachine(
            self.architecture, self.divisor, self.silence
        )
        m.d.comb += [
            machine.receive.eq(self.receive),
            self.transmit.eq(machine.transmit),
            self.led.eq(machine.irq),
        ]
        return m
