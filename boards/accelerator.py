"""The driver: loads a network into a machine and runs images, over any transport.

The same code drives a simulated machine and a real one; only the transport differs. It needs numpy
and nothing else.
"""

from typing import Protocol

import numpy as np

from boards.buffers import Buffers, Memory
from boards.image import Image
from quant.errors import NoMulError
from quant.numbers import dequantize, quantize
from rtl.dma.registers import (
    CHANNELS,
    DMA_REGION,
    ChannelRegister,
    StatusBit,
    TransferError,
    channel_address,
)
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, Control, Error, Region, Register, State

__all__ = ["Accelerator", "Transport"]


BUS_ERRORS = (
    TransferError.READ_SLVERR,
    TransferError.READ_DECERR,
    TransferError.WRITE_SLVERR,
    TransferError.WRITE_DECERR,
)


class Transport(Protocol):
    """Access to a host port; addresses count 32-bit words."""

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words to consecutive addresses."""

    def read(self, address: int, count: int) -> np.ndarray:
        """Read ``count`` uint32 words from consecutive addresses."""

    def idle(self) -> None:
        """Let the machine work for a while: between two looks at STATUS."""


class Accelerator:
    """A machine with a network in it.

    Whatever the machine did before, running or not, it is stopped, checked and loaded anew.

    Parameters
    ----------
    transport : Transport
    image : Image
    memory : Memory, optional
        Where the buffers of a machine with external memory go; others leave it alone.

    Errors
    ------
    :class:`NoMulError` where the machine does not answer, is of another version or architecture
    than the network was made for, needs a memory that is not there, or stops with an error.
    """

    MARGIN = 2
    """A machine that runs more than so many times the predicted cycles counts as hung."""
    EXTERNAL_MARGIN = 64
    """The same with external memory, which may be much slower than the prediction takes it; a
    machine whose transfers do not go on ends by itself."""
    LOOKS = 10_000
    """At channels that finish what is under way on their ports, after a stop."""

    def __init__(self, transport: Transport, image: Image, memory: Memory | None = None) -> None:
        self.transport = transport
        self.image = image
        self.buffers = Buffers(memory, image) if image.buffers else None
        self.whole = False
        """Whether the machine's memories are as a start needs them."""
        self.check()
        self.load()

    def check(self) -> None:
        """Whether the machine is one that can run the network."""
        machine_id, version, fingerprint = (int(word) for word in self.transport.read(0, 3))
        if machine_id != ID:
            raise NoMulError(
                f"no NoMul machine answers (found {machine_id:#010x}); check the bitstream"
            )
        if fingerprint != self.image.fingerprint:
            raise NoMulError(
                f"the machine has the fingerprint {fingerprint:#010x} (version {version}), the "
                f"program was made for {self.image.fingerprint:#010x} (version "
                f"{self.image.version}); compile it for this machine"
            )

    def load(self) -> None:
        """Stop the machine; write instructions, weights, parameters and buffers."""
        self.set(Register.CONTROL, Control.STOP)
        self.set(Register.INTERRUPT, 0)
        if self.buffers:
            self.rest()
            self.buffers.load()
            for address, value in self.buffers.registers():
                self.set(address, value)
        for load in self.image.loads:
            self.write(load.region, load.address, load.words)
        self.whole = True

    def rest(self) -> None:
        """Wait until nothing is under way between a stopped machine and external memory."""
        for _ in range(self.LOOKS):
            if all(self.channel_status(n) >> StatusBit.IDLE & 1 for n in range(CHANNELS)):
                return
            self.transport.idle()
        raise NoMulError(
            "the machine's memory ports do not come to rest; check that external memory answers, "
            "and load the bitstream anew"
        )

    def channel_status(self, channel: int) -> int:
        """Word STATUS of a channel to external memory."""
        address = channel_address(channel, ChannelRegister.STATUS)
        return self.get((DMA_REGION << REGION_SHIFT) + address)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Run a batch.

        Parameters
        ----------
        images : float [count, channels, height, width]

        Returns
        -------
        float64 [count, channels, height, width] of the output.

        Errors: :class:`NoMulError` for another shape or values that are not finite.
        """
        images = np.asarray(images)
        shape = self.image.input.shape
        if images.ndim != 4 or images.shape[1:] != shape:
            raise NoMulError(
                f"images have the shape {images.shape}, the network takes "
                f"(count, {', '.join(map(str, shape))})"
            )
        if not np.isfinite(images).all():
            raise NoMulError("images hold values that are not finite; mend them")
        outputs = np.zeros((len(images), *self.image.output.shape))
        for output, codes in zip(outputs, quantize(images, self.image.input.format), strict=True):
            output[:] = dequantize(self.run_codes(codes)[0], self.image.output.format.fraction)
        return outputs

    def run_codes(self, codes: np.ndarray) -> tuple[np.ndarray, int]:
        """Run one image.

        Parameters
        ----------
        codes : int [channels, height, width]
            Codes of the network's input.

        Returns
        -------
        Codes of the output [channels, height, width], and the cycles it took.
        """
        self.write_input(codes)
        self.go_on(Control.START, stop_after=0)
        self.wait(State.HALTED)
        return self.read_output(), self.get(Register.CYCLES)

    def go_on(self, control: Control, stop_after: int) -> None:
        """Start or resume; pause when so many runs have ended, 0 for none.

        A program in external memory that did not come to its end has left instructions on chip that
        are not the first ones; then all is loaded again.
        """
        if self.buffers and control is Control.START:
            if not self.whole:
                self.load()
            self.whole = False
        self.set(Register.STOP_AFTER, stop_after)
        self.set(Register.CONTROL, control)

    def wait(self, wanted: State) -> None:
        """Wait until the machine is in a state. Error: it stopped otherwise, or hangs."""
        margin = self.EXTERNAL_MARGIN if self.buffers else self.MARGIN
        while True:
            status = self.get(Register.STATUS)
            state = State(status & 0xFF)
            if state == wanted:
                self.whole = state == State.HALTED
                return
            if state == State.FAILED:
                raise NoMulError(self.failure(Error(status >> 8 & 0xFF)))
            if state != State.RUNNING:
                raise NoMulError(f"the machine is {state.name}, not {wanted.name}; start it again")
            cycles = self.get(Register.CYCLES)
            if cycles > margin * self.image.cycles:
                run = self.get(Register.RUNS)
                self.set(Register.CONTROL, Control.STOP)
                raise NoMulError(
                    f"the machine still runs after {cycles} cycles, {self.image.cycles} were "
                    f"predicted; it hangs in run {run}; the program is damaged, compile it again"
                )
            self.transport.idle()

    def failure(self, error: Error) -> str:
        """Why the machine stopped, and the remedy."""
        where = f"the machine stopped with {error.name} at instruction {self.get(Register.PC)}"
        if error is Error.TRANSFER:
            for channel in range(CHANNELS):
                reason = TransferError(self.channel_status(channel) >> 8 & 0xFF)
                if reason is not TransferError.NONE:
                    where += f", channel {channel} with {reason.name}"
                if reason in BUS_ERRORS:
                    return f"{where}; check that external memory answers where it is said to stand"
        return f"{where}; the program is damaged, compile it again"

    def write_input(self, codes: np.ndarray) -> None:
        """Put an image among the features."""
        place = self.image.input
        words = place.spread(codes, self.image.lanes, self.image.bits)
        if self.buffers:
            self.buffers.write_features(place.address, words)
        else:
            self.write(Region.FEATURES, place.address, words)

    def read_output(self) -> np.ndarray:
        """Codes [channels, height, width] of the output, as they stand among the features."""
        place = self.image.output
        words = self.read_features(place.address, place.words)
        return place.gather(words, self.image.lanes, self.image.bits)

    def read_features(self, address: int, count: int) -> np.ndarray:
        """Words of the features: uint32 ``[count, pieces]``."""
        if self.buffers:
            return self.buffers.read_features(address, count)
        parts = pieces(self.image.lanes * self.image.bits)
        base = (Region.FEATURES << REGION_SHIFT) + address * parts
        return self.transport.read(base, count * parts).reshape(count, parts)

    def write(self, region: Region, address: int, words: np.ndarray) -> None:
        """Write memory words, given as their pieces [words, pieces], from ``address`` on."""
        base = (region << REGION_SHIFT) + address * words.shape[1]
        self.transport.write(base, np.ascontiguousarray(words, "<u4").reshape(-1))

    def get(self, register: int) -> int:
        """Value of a register."""
        return int(self.transport.read(register, 1)[0])

    def set(self, register: int, value: int) -> None:
        """Write a register."""
        self.transport.write(register, np.array([value], "<u4"))
