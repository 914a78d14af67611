"""The host bus as simulations drive it: its ports and its limits."""

import numpy as np

__all__ = [
    "ADDRESS_BITS",
    "LATENCY_LIMIT",
    "LITE_PORTS",
    "MEMORY_PORTS",
    "PORTS",
    "as_words",
    "check_block",
    "late",
]

PORTS = (
    "bus__address",
    "bus__write",
    "bus__write_data",
    "bus__read",
    "bus__read_data",
    "bus__read_valid",
)
"""Names of the host bus's ports at a component's top."""

LITE_PORTS = (
    "control__awaddr",
    "control__awvalid",
    "control__awready",
    "control__wdata",
    "control__wstrb",
    "control__wvalid",
    "control__wready",
    "control__bresp",
    "control__bvalid",
    "control__bready",
    "control__araddr",
    "control__arvalid",
    "control__arready",
    "control__rdata",
    "control__rresp",
    "control__rvalid",
    "control__rready",
)
"""Names of an AXI4-Lite port's ports that reach the host bus behind it."""

MEMORY_PORTS = ("axi_0__arvalid", "axi_1__arvalid")
"""Names that tell the ports to external memory, of which there are two or none."""

ADDRESS_BITS = 26

LATENCY_LIMIT = 64
"""Cycles after a read by which its word must have come; a machine answers within 8."""


def check_block(address: int, count: int) -> None:
    """Error: the block leaves the address space."""
    if address < 0 or count < 0 or address + count > 1 << ADDRESS_BITS:
        raise ValueError(f"no {count} words at {address:#x} in {ADDRESS_BITS} bits of address")


def late(name: str, address: int, count: int, got: int, what: str = "reads from") -> TimeoutError:
    """The error of a machine that does not answer an access."""
    return TimeoutError(f"{name} answered {got} of {count} {what} {address:#x}")


def as_words(words: np.ndarray) -> np.ndarray:
    """Contiguous uint32 words. Error: values that are none."""
    array = np.asarray(words)
    if array.dtype != np.uint32:
        if not np.issubdtype(array.dtype, np.integer) or (
            array.size and (array.min() < 0 or array.max() > 0xFFFFFFFF)
        ):
            raise ValueError(f"a bus word is an integer of 32 bits, not {array.dtype}")
        array = array.astype(np.uint32)
    return np.ascontiguousarray(array.reshape(-1))
