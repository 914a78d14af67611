"""Write-back: which words of codes are written, and where."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import LAYOUTS, LEVELS, Nest, Opcode
from rtl.nest import nest_word

__all__ = ["WriteBack"]


class WriteBack(wiring.Component):
    """Gives each word of codes its address, and leaves out members that hold no output.

    Level 0 of the nest OUTPUT counts the members of a word of sums. In the last iteration of its
    level 1, or 3 where ``last_level`` is set, only the first ``count`` are written.

    No latency; takes a step of the nest with each word, which must be there in time.

    Parameters
    ----------
    groups : int
        Most members of a word of sums.
    address_bits : int

    Members
    -------
    members : In(Opcode.MEMBERS layout)
    step : In(stream of nest_word)
    valid : In(1)
        A word of codes is there.
    write : Out(1), address : Out(address_bits)
    """

    def __init__(self, groups: int, address_bits: int) -> None:
        self.groups = groups
        self.address_bits = address_bits
        super().__init__(
            {
                "members": In(LAYOUTS[Opcode.MEMBERS]),
                "step": In(stream.Signature(nest_word(LEVELS[Nest.OUTPUT], address_bits, False))),
                "valid": In(1),
                "write": Out(1),
                "address": Out(address_bits),
            }
        )

    @staticmethod
    def model(members: dict[str, int], steps: dict[str, np.ndarray]) -> np.ndarray:
        """Whether each step's word is written: bool ``[steps]``."""
        first = steps["first"][:, 0]
        begins = np.flatnonzero(first)
        member = np.arange(len(first)) - begins[np.cumsum(first) - 1]
        tail = steps["last"][:, 3 if members["last_level"] else 1]
        return ~tail | (member < members["count"])

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.step.payload
        member = Signal(range(self.groups))
        tail = Mux(self.members.last_level, step.last[3], step.last[1])
        m.d.comb += [
            self.step.ready.eq(self.valid),
            self.address.eq(step.address),
            self.write.eq(self.valid & (~tail | (member < self.members.count))),
        ]
        with m.If(self.valid):
            m.d.sync += member.eq(Mux(step.last[0], 0, member + 1))
        return m
