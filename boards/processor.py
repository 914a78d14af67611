"""The primitives PS7 and PS8: their ports, by the names that Vivado's library gives them."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl.axi.signatures import Axi, AxiConfig

__all__ = ["PS7", "PS8", "ProcessorPorts"]

MASTER = "MAXIGP0"
NARROW = {"len": "length_bits", "size": "size_bits", "lock": "lock_bits"}


@dataclass(frozen=True)
class ProcessorPorts:
    """A processing system as an ``Instance``.

    A PS7's ports are AXI3: lengths of 4 bits, sizes and locks of 2, and write data with an ID. Its
    masters never interleave the data of two writes, so theirs is not looked at; what masters of the
    logic write has the ID 0, as all their transactions have.

    Parameters
    ----------
    primitive, buffer : str
        Names of the primitive and of its clocks' buffer.
    clock, interrupt : str
        Ports of the clocks and of the interrupts.
    interrupt_bits : int
    master_config : AxiConfig
        Address and ID bits of the first master port, ``MAXIGP0``, used with 32 data bits.
    master_data_bits : int
        Of the primitive's port; with 32 chosen, they are the lowest.
    memory : tuple of str
        Prefixes of the high-performance ports that are used, two that do not share a port of the
        memory's controller.
    memory_clocks : tuple of str
        What the names of their clocks end in.
    memory_data_bits, memory_address_bits, memory_id_bits : int
    length_bits, size_bits, lock_bits : int
        Of all ports.
    memory_constants : tuple of (end, bits)
        What the names of other inputs of a high-performance port end in; they are 0.
    resets : str
        Port of the resets for the logic; none where it is empty.
    constants : tuple of (port, value, bits)
        Inputs that must not float.
    """

    primitive: str
    buffer: str
    clock: str
    interrupt: str
    interrupt_bits: int
    master_config: AxiConfig
    master_data_bits: int
    memory: tuple[str, ...]
    memory_clocks: tuple[str, ...]
    memory_data_bits: int
    memory_address_bits: int
    memory_id_bits: int
    length_bits: int
    size_bits: int
    lock_bits: int
    memory_constants: tuple[tuple[str, int], ...]
    resets: str
    constants: tuple[tuple[str, int, int], ...]

    def common(self, clocks: Signal, resets: Signal, irq: Value) -> dict[str, Value]:
        """Four clocks and, where there are such, four resets out; the first interrupt in."""
        ports: dict[str, Value] = {
            f"o_{self.clock}": clocks,
            f"i_{self.interrupt}": Cat(irq, Const(0, self.interrupt_bits - 1)),
            **{f"i_{name}": Const(value, bits) for name, value, bits in self.constants},
        }
        if self.resets:
            ports[f"o_{self.resets}"] = resets
        return ports

    def master(self, m: Module, axi, clock: Value) -> dict[str, Value]:
        """The first master port, at a slave's port of ``Axi(master_config)``."""
        ports: dict[str, Value] = {f"i_{MASTER}ACLK": clock}
        for name, member in Axi(self.master_config).members.items():
            port = getattr(axi, name)
            bits = self.port_bits(name, len(port), self.master_data_bits)
            own = Signal(bits, name=f"{MASTER}_{name}")
            if member.flow is Out:
                ports[f"o_{MASTER}{name.upper()}"] = own
                m.d.comb += port.eq(own)
            else:
                ports[f"i_{MASTER}{name.upper()}"] = own
                m.d.comb += own.eq(port)
        return ports

    def slave(self, m: Module, index: int, axi, clock: Value) -> dict[str, Value]:
        """High-performance port ``index`` of ``memory``, at a master's ``Axi``.

        Narrower data are in the lowest bits; IDs and addresses are filled with 0.
        """
        prefix = self.memory[index]
        ports: dict[str, Value] = {f"i_{prefix}{end}": clock for end in self.memory_clocks}
        for name, member in axi.signature.members.items():
            port = getattr(axi, name)
            bits = self.port_bits(name, len(port), self.memory_data_bits)
            if name.endswith("addr"):
                bits = self.memory_address_bits
            elif name.endswith("id") and not name.endswith("valid"):
                bits = self.memory_id_bits
            own = Signal(bits, name=f"{prefix}_{name}")
            if member.flow is In:
                ports[f"o_{prefix}{name.upper()}"] = own
                m.d.comb += port.eq(own)
            else:
                ports[f"i_{prefix}{name.upper()}"] = own
                m.d.comb += own.eq(port)
        for end, bits in self.memory_constants:
            ports[f"i_{prefix}{end}"] = Const(0, bits)
        return ports

    def port_bits(self, name: str, bits: int, data_bits: int) -> int:
        """Bits of the primitive's port that belongs to a member of ``bits``."""
        if name in ("rdata", "wdata"):
            return data_bits
        if name == "wstrb":
            return data_bits // 8
        return getattr(self, NARROW[name[2:]]) if name[2:] in NARROW else bits


PS7 = ProcessorPorts(
    primitive="PS7",
    buffer="BUFG",
    clock="FCLKCLK",
    interrupt="IRQF2P",
    interrupt_bits=20,
    master_config=AxiConfig(address_bits=32, data_bits=32, id_bits=12),
    master_data_bits=32,
    memory=("SAXIHP0", "SAXIHP2"),
    memory_clocks=("ACLK",),
    memory_data_bits=64,
    memory_address_bits=32,
    memory_id_bits=6,
    length_bits=4,
    size_bits=2,
    lock_bits=2,
    memory_constants=(("WID", 6), ("RDISSUECAP1EN", 1), ("WRISSUECAP1EN", 1)),
    resets="FCLKRESETN",
    constants=(("FCLKCLKTRIGN", 0, 4), ("FPGAIDLEN", 1, 1), ("DDRARB", 0, 4)),
)
"""Zynq-7000: UG585; S_AXI_HP0 and HP2."""

PS8 = ProcessorPorts(
    primitive="PS8",
    buffer="BUFG_PS",
    clock="PLCLK",
    interrupt="PLPSIRQ0",
    interrupt_bits=8,
    master_config=AxiConfig(address_bits=40, data_bits=32, id_bits=16),
    master_data_bits=128,
    memory=("SAXIGP2", "SAXIGP3"),
    memory_clocks=("RCLK", "WCLK"),
    memory_data_bits=128,
    memory_address_bits=49,
    memory_id_bits=6,
    length_bits=8,
    size_bits=3,
    lock_bits=1,
    memory_constants=(("ARUSER", 1), ("AWUSER", 1)),
    resets="",
    constants=(("PLPSIRQ1", 0, 8),),
)
"""Zynq UltraScale+: UG1085; S_AXI_HP0_FPD and HP1_FPD are SAXIGP2 and SAXIGP3."""
