"""What a netlist uses and a part has: counts of the kinds of cells, and the cells of Xilinx."""

from dataclasses import astuple, dataclass, fields

__all__ = ["CELLS", "FAMILIES", "FREE_CELLS", "NAMES", "Resources"]

FAMILIES = ("xc7", "xcup")
"""Yosys's names of 7-series and UltraScale+."""


@dataclass(frozen=True)
class Resources:
    """Counts of cells; half ones exist.

    Parameters
    ----------
    lut : float
        Look-up tables, those used as memory included.
    lutram : float
        Of these, the ones used as memory or shift register.
    ff : float
        Flip-flops and latches.
    carry : float
        Carry chains of a slice or CLB: CARRY4 on xc7, CARRY8 on xcup.
    dsp : float
    bram : float
        Block RAMs of 36 kbit; one of 18 kbit is a half.
    uram : float
        UltraRAMs of 288 kbit.
    """

    lut: float = 0
    lutram: float = 0
    ff: float = 0
    carry: float = 0
    dsp: float = 0
    bram: float = 0
    uram: float = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def to_dict(self) -> dict[str, float]:
        """For JSON; whole numbers as integers."""
        return {
            name: int(value) if value == int(value) else value
            for name, value in zip(NAMES, astuple(self), strict=True)
        }


NAMES = tuple(field.name for field in fields(Resources))
"""Names of the resources, in the order of a table's columns."""

_LUT = Resources(lut=1)
_FF = Resources(ff=1)


def _lutram(luts: int) -> Resources:
    return Resources(lut=luts, lutram=luts)


CELLS: dict[str, Resources] = {
    # An inverter that no other look-up table absorbed takes one of its own.
    **dict.fromkeys(("INV", "LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2"), _LUT),
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E"), _lutram(1)),
    **dict.fromkeys(("RAM16X1S", "RAM32X1S", "RAM64X1S"), _lutram(1)),
    **dict.fromkeys(("RAM16X1D", "RAM32X1D", "RAM64X1D", "RAM128X1S"), _lutram(2)),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), _lutram(4)),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM32X16DR8", "RAM64X8SW"), _lutram(8)),
    **dict.fromkeys(("RAM256X1D", "RAM512X1S"), _lutram(8)),
    **dict.fromkeys(("FDCE", "FDPE", "FDRE", "FDSE", "LDCE", "LDPE"), _FF),
    **dict.fromkeys(("FDCE_1", "FDPE_1", "FDRE_1", "FDSE_1"), _FF),
    "CARRY4": Resources(carry=1),
    "CARRY8": Resources(carry=1),
    "DSP48E1": Resources(dsp=1),
    "DSP48E2": Resources(dsp=1),
    "RAMB18E1": Resources(bram=0.5),
    "RAMB18E2": Resources(bram=0.5),
    "RAMB36E1": Resources(bram=1),
    "RAMB36E2": Resources(bram=1),
    "URAM288": Resources(uram=1),
}
"""What a cell takes, by its type."""

FREE_CELLS = frozenset(
    (
        "MUXF7",
        "MUXF8",
        "MUXF9",
        "BUFG",
        "IBUF",
        "OBUF",
        "OBUFT",
        "IOBUF",
        "PS7",
        "PS8",
        "$scopeinfo",
    )
)
"""Cells that take nothing of what is counted."""
