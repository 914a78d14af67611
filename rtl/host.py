"""The host port: a 32-bit bus to the registers and to the words of all memories."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import VERSION
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, WAITING, Region, Register, State
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
    counted : tuple of Register
        Registers that are counters of their own.

    Members
    -------
    bus : In(HostBus)
    control, stop_after : Out
        To the sequencer; ``control`` for one cycle.
    status : In
        ``state``, ``error``, ``pc``, ``cycles``, ``runs``; where there are counters, ``counts``.
    irq : Out(1)
        High while the host has allowed it and the machine is paused, halted or failed.
    <region> : Out(HostAccess)
        One for each memory, in lower case.
    """

    read_latency = 5

    def __init__(
        self,
        memories: dict[Region, tuple[int, int]],
        fingerprint: int,
        counted: tuple[Register, ...] = (),
    ) -> None:
        self.counted = counted
        self.memories = memories
        self.fingerprint = fingerprint
        super().__init__(
            {
                "bus": In(HostBus()),
                "control": Out(3),
                "stop_after": Out(32),
                "irq": Out(1),
                "state": In(3),
                "error": In(8),
                "pc": In(32),
                "cycles": In(32),
                "runs": In(32),
                **({"counts": In(data.ArrayLayout(32, len(counted)))} if counted else {}),
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

        # The pieces of a word, the latest first.
        count = max(pieces(bits) for _, bits in self.memories.values())
        latest = [Signal(32, name=f"latest_{i}", reset_less=True) for i in range(count)]
        with m.If(bus.write & (region != Region.REGISTERS)):
            m.d.sync += [a.eq(b) for a, b in zip(latest, [bus.write_data, *latest])]

        # Cycle 1 after an access: it is at its memory's port. Cycle 2: the word is read. Cycle 3:
        # of every four pieces one is chosen, in cycle 4 one of these, in cycle 5 the region's.
        stages = [
            (Signal(len(Region), name=f"region_{i}"), Signal.like(offset, name=f"offset_{i}"))
            for i in range(1, self.read_latency - 1)
        ]
        asked = Cat((region == index) & (idle | (index == Region.REGISTERS)) for index in Region)
        for (to_region, to_offset), (from_region, from_offset) in zip(
            stages, [(asked, offset), *stages]
        ):
            m.d.sync += [to_region.eq(from_region), to_offset.eq(from_offset)]
        (request_region, request), (_, quarter_offset), (chosen_region, chosen_offset) = stages
        reading = Signal(self.read_latency - 1)
        m.d.sync += Cat(reading, bus.read_valid).eq(Cat(bus.read, reading))
        chosen = [Signal(32, name=f"chosen_{index.name.lower()}") for index in Region]
        m.d.sync += bus.read_data.eq(Cat(Cat(c[bit] for c in chosen).any() for bit in range(32)))

        for index, (_, bits) in self.memories.items():
            access, name = getattr(self, index.name.lower()), index.name.lower()
            parts = pieces(bits)
            piece_bits = (parts - 1).bit_length()
            low = min(piece_bits, 2)
            write, read = Signal(name=f"write_{name}"), Signal(name=f"read_{name}")
            m.d.sync += [
                write.eq(bus.write & asked[index] & (offset[:piece_bits] == parts - 1)),
                read.eq(bus.read & asked[index]),
            ]
            m.d.comb += [
                access.address.eq(request[piece_bits:]),
                access.write.eq(write),
                access.write_data.eq(Cat(*reversed(latest[:parts]))),
                access.read.eq(read),
            ]
            word = Cat(access.read_data, Const(0, (32 << piece_bits) - bits))
            quarters = Signal(32 << piece_bits - low, name=f"quarters_{name}", reset_less=True)
            m.d.sync += quarters.eq(
                Cat(
                    word[at : at + (32 << low)].word_select(quarter_offset[:low], 32)
                    for at in range(0, len(word), 32 << low)
                )
            )
            with m.If(chosen_region[index]):
                m.d.sync += chosen[index].eq(
                    quarters.word_select(chosen_offset[low:piece_bits], 32)
                )
            with m.Else():
                m.d.sync += chosen[index].eq(0)

        allowed = Signal()
        registers = {
            Register.ID: Const(ID, 32),
            Register.VERSION: Const(VERSION, 32),
            Register.FINGERPRINT: Const(self.fingerprint, 32),
            Register.STATUS: Cat(self.state, Const(0, 5), self.error),
            Register.PC: self.pc,
            Register.CYCLES: self.cycles,
            Register.RUNS: self.runs,
            Register.STOP_AFTER: self.stop_after,
            **{register: self.counts[index] for index, register in enumerate(self.counted)},
            Register.INTERRUPT: allowed,
        }
        answers = []
        place_bits = max(Register).bit_length()
        among = Signal()
        m.d.sync += among.eq(request_region[Region.REGISTERS] & (request >> place_bits == 0))
        for place, content in registers.items():
            named = Signal(name=f"named_{place.name.lower()}")
            m.d.sync += named.eq(among & (quarter_offset[:place_bits] == place))
            answers.append(content & named.replicate(32))
        m.d.sync += chosen[Region.REGISTERS].eq(reduce(or_, answers))

        m.d.sync += self.control.eq(0)
        with m.If(bus.write & (region == Region.REGISTERS)), m.Switch(offset):
            with m.Case(Register.CONTROL):
                m.d.sync += self.control.eq(bus.write_data)
            with m.Case(Register.STOP_AFTER):
                m.d.sync += self.stop_after.eq(bus.write_data)
            with m.Case(Register.INTERRUPT):
                m.d.sync += allowed.eq(bus.write_data)
        waits = Cat(self.state == state for state in WAITING).any()
        m.d.sync += self.irq.eq(allowed & waits)
        return m
