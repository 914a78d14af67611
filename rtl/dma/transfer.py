"""What a transfer is."""

from dataclasses import dataclass

from amaranth.hdl import unsigned
from amaranth.lib import data

from rtl.axi.signatures import AxiConfig
from rtl.registers import Region

__all__ = ["ADDRESS", "COUNT", "STRIDE", "DmaConfig", "transfer_layout"]

COUNT = unsigned(16)
ADDRESS = unsigned(24)
STRIDE = unsigned(24)


@dataclass(frozen=True)
class DmaConfig:
    """A channel: its port, and the memories that it serves.

    Parameters
    ----------
    axi : AxiConfig
    regions : tuple of (Region, words, bits)
        The memories. In external memory a word takes the whole beats that hold its bits, the lowest
        first.
    buffers : int
        Pieces of external memory that transfers name; a power of two.
    queue : int
        Transfers that can wait.
    patience : int
        Cycles in which nothing happens until a program counts as stuck; a power of two.

    Errors: ``ValueError`` for a region that transfers cannot reach.
    """

    axi: AxiConfig
    regions: tuple[tuple[Region, int, int], ...]
    buffers: int = 16
    queue: int = 8
    patience: int = 1 << 20

    def __post_init__(self) -> None:
        if self.buffers < 2 or self.buffers & (self.buffers - 1):
            raise ValueError(f"buffers = {self.buffers}: must be a power of two, 2 or more")
        if self.queue < 2:
            raise ValueError(f"queue = {self.queue}: must be 2 or more")
        for region, words, bits in self.regions:
            if not 0 < words <= 1 << ADDRESS.width:
                raise ValueError(f"{region.name} has {words} words: 1 to {1 << ADDRESS.width}")
            # A store waits for a burst, and its words must fit behind it.
            if not 0 < self.beats(bits) <= self.axi.burst:
                raise ValueError(
                    f"{region.name} has words of {bits} bits: at most "
                    f"{self.axi.burst * self.axi.data_bits} fit a burst of {self.axi.burst} beats"
                )

    def beats(self, bits: int) -> int:
        """Beats that hold a word of so many bits."""
        return -(-bits // self.axi.data_bits)

    @property
    def most_beats(self) -> int:
        """Beats of the widest word."""
        return max(self.beats(bits) for _, _, bits in self.regions)

    @property
    def row_bits(self) -> int:
        """Bits of the number of beats of a row."""
        return COUNT.width + self.most_beats.bit_length()

    @property
    def word_bits(self) -> int:
        """Bits of the widest word."""
        return max(bits for _, _, bits in self.regions)

    def bits_of(self, region: Region) -> int:
        """Bits of a region's word. Error: ``KeyError`` for one that is not served."""
        return {own: bits for own, _, bits in self.regions}[region]


def transfer_layout(config: DmaConfig) -> data.StructLayout:
    """A transfer of ``rows`` rows of ``words`` words each.

    Row *r* stands in external memory from beat ``offset + r * memory_stride`` of the buffer
    ``base`` on, and in the region from word ``address + r * address_stride`` on. ``store`` is 1
    towards external memory.
    """
    return data.StructLayout(
        {
            "store": 1,
            "region": 3,
            "base": (config.buffers - 1).bit_length(),
            "offset": config.axi.beat_address_bits,
            "address": ADDRESS,
            "words": COUNT,
            "rows": COUNT,
            "memory_stride": STRIDE,
            "address_stride": STRIDE,
        }
    )
