"""Signatures of AXI4 and AXI4-Lite ports, with the names of the specification."""

from dataclasses import dataclass
from enum import IntEnum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Axi", "AxiConfig", "AxiLite", "AxiRead", "AxiWrite", "Response"]


class Response(IntEnum):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


@dataclass(frozen=True)
class AxiConfig:
    """An AXI4 memory port and how much a master asks of it at once.

    Parameters
    ----------
    address_bits : int
        Of a byte's address.
    data_bits : int
        Of a beat: 8 times a power of two.
    id_bits : int
        All transactions have the ID 0, so they stay in order.
    burst : int
        Most beats of a burst, a power of two up to 256. A slave of AXI3, as the memory ports of a
        Zynq-7000 are, takes 16. A burst of so many beats has at most 4096 bytes.
    outstanding : int
        Bursts that may be asked for and not yet answered, of each direction.

    Errors: ``ValueError`` for a value that is none of these.
    """

    address_bits: int = 32
    data_bits: int = 64
    id_bits: int = 6
    burst: int = 16
    outstanding: int = 8

    def __post_init__(self) -> None:
        for name, low, high, power in (
            ("data_bits", 8, 1024, True),
            ("id_bits", 1, 32, False),
            ("burst", 2, 256, True),
            ("outstanding", 1, 64, False),
        ):
            value = getattr(self, name)
            if not low <= value <= high or (power and value & (value - 1)):
                kind = "a power of two from " if power else ""
                raise ValueError(f"{name} = {value}: allowed is {kind}{low} to {high}")
        if self.burst * self.beat_bytes > 4096:
            raise ValueError(f"burst = {self.burst}: more than 4096 bytes of {self.data_bits} bits")
        if not 12 < self.address_bits <= 64:
            raise ValueError(f"address_bits = {self.address_bits}: allowed is 13 to 64")

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return self.data_bits // 8

    @property
    def beat_shift(self) -> int:
        """Bits of an address below those that count beats."""
        return self.beat_bytes.bit_length() - 1

    @property
    def beat_address_bits(self) -> int:
        """Bits of an address that counts beats."""
        return self.address_bits - self.beat_shift

    @property
    def length_bits(self) -> int:
        """Bits of the number of beats of a burst minus one."""
        return self.burst.bit_length() - 1


def _address_channel(prefix: str, config: AxiConfig) -> dict:
    return {
        f"{prefix}id": Out(config.id_bits),
        f"{prefix}addr": Out(config.address_bits),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}qos": Out(4),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_channels(config: AxiConfig) -> dict:
    return {
        **_address_channel("ar", config),
        "rid": In(config.id_bits),
        "rdata": In(config.data_bits),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_channels(config: AxiConfig) -> dict:
    return {
        **_address_channel("aw", config),
        "wdata": Out(config.data_bits),
        "wstrb": Out(config.beat_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(config.id_bits),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AxiRead(wiring.Signature):
    """The two channels of AXI4 for reads, seen from the master."""

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(_read_channels(config))


class AxiWrite(wiring.Signature):
    """The three channels of AXI4 for writes, seen from the master."""

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(_write_channels(config))


class Axi(wiring.Signature):
    """All five channels of AXI4, seen from the master."""

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__({**_read_channels(config), **_write_channels(config)})


class AxiLite(wiring.Signature):
    """AXI4-Lite of 32 bits, seen from the master."""

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )
