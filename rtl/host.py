"""The host port: a 32-bit bus to the registers and to the words of all memories."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import VERSION
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, Region, Register, State
from rtl.store import HostAccess

__all__ = ["HostBus", "HostPort"]


class HostBus(wiring.Signature):
    """32-bit bus, seen from the host: one write or one read a cycle, no wait states.

    ``read_data`` and ``read_valid`` follow a ``read`` by ``HostPort.read_latency`` cycles.
    Addresses count 32-bit words.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "address": Out(26),
                "write": Out(1),
                "write_data": Out(32),
                "read": Out(1),
                "read_data": In(32),
                "read_valid": In(1),
            }
        )


class HostPort(wiring.Component):
    """Decodes the host bus.

    A memory word of more than 32 bits stands as its pieces (``rtl.packing.pieces`` of them), lowest
    first, and is written in that order, without another write between; the last piece stores it.
    While the machine runs, writes to memories are dropped and reads of memories give 0.

    Parameters
    ----------
    memories : dict of Region to (address_bits, bits)
    fingerprint : int

    Members
    -------
    bus : In(HostBus)
    control, stop_after : Out
        To the sequencer; ``control`` for one cycle.
    status : In
        ``state``, ``error``, ``pc``, ``cycles``, ``runs``.
    <region> : Out(HostAccess)
        One for each memory, in lower case.
    """

    read_latency = 3

    def __init__(self, memories: dict[Region, tuple[int, int]], fingerprint: int) -> None:
        self.memories = memories
        self.fingerprint = fingerprint
        super().__init__(
            {
                "bus": In(HostBus()),
                "control": Out(3),
                "stop_after": Out(32),
                "state": In(3),
                "error": In(8),
                "pc": In(32),
                "cycles": In(32),
                "runs": In(32),
                **{
                    region.name.lower(): Out(HostAccess(*sizes))
                    for region, sizes in memories.items()
                },
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        region = bus.address[REGION_SHIFT:]
        offset = bus.address[:REGION_SHIFT]
        idle = Signal()
        m.d.comb += idle.eq(self.state != State.RUNNING)

        # The pieces of a word before its last one wait here, the latest first.
        count = max(pieces(bits) for _, bits in self.memories.values())
        earlier = [Signal(32, name=f"earlier_{i}", reset_less=True) for i in range(count - 1)]
        with m.If(bus.write & (region != Region.REGISTERS)):
            m.d.sync += [a.eq(b) for a, b in zip(earlier, [bus.write_data, *earlier])]

        # Cycle 1 after a read: the word is at its memory's port. Cycle 2: its piece is chosen, and
        # in cycle 3 the region's.
        reading = Signal(2)
        read_region, read_offset = Signal(len(Region)), Signal.like(offset)
        m.d.sync += [
            reading.eq(Cat(bus.read, reading[0])),
            read_region.eq(Cat(region == index for index in Region)),
            read_offset.eq(offset),
            bus.read_valid.eq(reading[1]),
        ]
        chosen = [Signal(32, name=f"chosen_{index.name.lower()}") for index in Region]
        m.d.sync += bus.read_data.eq(Cat(Cat(c[bit] for c in chosen).any() for bit in range(32)))
        was_idle = Signal()
        m.d.sync += was_idle.eq(idle)

        for index, (_, bits) in self.memories.items():
            access = getattr(self, index.name.lower())
            parts = pieces(bits)
            piece_bits = (parts - 1).bit_length()
            selected = Signal(name=f"selected_{index.name.lower()}")
            final = Const(1) if piece_bits == 0 else offset[:piece_bits].all()
            m.d.comb += [
                selected.eq((region == index) & idle),
                access.address.eq(offset[piece_bits:]),
                access.write.eq(bus.write & selected & final),
                access.write_data.eq(Cat(*reversed(earlier[: parts - 1]), bus.write_data)),
                access.read.eq(bus.read & selected),
            ]
            word = Cat(access.read_data, Const(0, parts * 32 - bits))
            with m.If(read_region[index] & was_idle):
                m.d.sync += chosen[index].eq(word.word_select(read_offset[:piece_bits], 32))
            with m.Else():
                m.d.sync += chosen[index].eq(0)

        registers = {
            Register.ID: Const(ID, 32),
            Register.VERSION: Const(VERSION, 32),
            Register.FINGERPRINT: Const(self.fingerprint, 32),
            Register.STATUS: Cat(self.state, Const(0, 5), self.error),
            Register.PC: self.pc,
            Register.CYCLES: self.cycles,
            Register.RUNS: self.runs,
            Register.STOP_AFTER: self.stop_after,
        }
        register = Signal(max(Register).bit_length())
        known = Signal()
        m.d.sync += [register.eq(offset), known.eq(offset >> len(register) == 0)]
        m.d.sync += chosen[Region.REGISTERS].eq(0)
        with m.If(read_region[Region.REGISTERS] & known), m.Switch(register):
            for place, content in registers.items():
                with m.Case(place):
                    m.d.sync += chosen[Region.REGISTERS].eq(content)

        m.d.sync += self.control.eq(0)
        with m.If(bus.write & (region == Region.REGISTERS)), m.Switch(offset):
            with m.Case(Register.CONTROL):
                m.d.sync += self.control.eq(bus.write_data)
            with m.Case(Register.STOP_AFTER):
                m.d.sync += self.stop_after.eq(bus.write_data)
        return m
