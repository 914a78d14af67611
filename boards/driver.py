"""The driver: loads a program into a machine and runs images, over any transport.

The same code drives a simulated machine and a real one; only the transport differs. It needs numpy
and nothing else.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from quant.errors import NoMulError
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, Control, Error, Region, Register, State

__all__ = ["Driver", "Transport"]


class Transport(Protocol):
    """Access to a host port; addresses count 32-bit words."""

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words to consecutive addresses."""

    def read(self, address: int, count: int) -> np.ndarray:
        """Read ``count`` uint32 words from consecutive addresses."""

    def idle(self) -> None:
        """Let the machine work for a while: between two looks at STATUS."""


class Driver:
    """A machine with a program in it.

    Parameters
    ----------
    transport : Transport
    program : Program
        See ``compiler.program``; the driver uses its images, its tensors' places and its layers.

    Errors
    ------
    :class:`NoMulError` where the machine does not answer, is of another version or architecture
    than the program, or stops with an error.
    """

    MARGIN = 2
    """A machine that runs more than so many times the predicted cycles counts as hung."""

    def __init__(self, transport: Transport, program) -> None:
        self.transport = transport
        self.program = program
        self.check()
        self.load()

    def check(self) -> None:
        """Whether the machine is one that can run the program."""
        machine_id, version, fingerprint = (int(word) for word in self.transport.read(0, 3))
        if machine_id != ID:
            raise NoMulError(
                f"no NoMul machine answers (found {machine_id:#010x}); check the bitstream"
            )
        wanted = self.program.architecture.fingerprint
        if fingerprint != wanted:
            raise NoMulError(
                f"the machine has the fingerprint {fingerprint:#010x} (version {version}), the "
                f"program was made for {wanted:#010x} ({self.program.architecture.name}); "
                "compile it for this machine"
            )

    def load(self) -> None:
        """Write instructions, weights and parameters."""
        self.set(Register.CONTROL, Control.STOP)
        self.write(
            Region.INSTRUCTIONS,
            0,
            self.program.instructions.astype("<u8").view("<u4").reshape(-1, 2),
        )
        self.write(Region.WEIGHTS, 0, self.program.weights)
        self.write(Region.PARAMETERS, 0, self.program.parameters)

    def run(self, codes: np.ndarray) -> tuple[np.ndarray, int]:
        """Run one image.

        Parameters
        ----------
        codes : int [channels, height, width]
            Codes of the program's input.

        Returns
        -------
        Codes of the output [channels, height, width], and the cycles it took.
        """
        self.write_input(codes)
        self.go_on(Control.START, stop_after=0)
        self.wait(State.HALTED)
        return self.read_tensor(self.program.output), self.get(Register.CYCLES)

    def trace(
        self, codes: np.ndarray, visit: Callable[[str, np.ndarray], None]
    ) -> tuple[np.ndarray, int]:
        """Run one image layer by layer: ``visit(name, codes)`` with the tensor of each layer.

        Returns what :meth:`run` returns; pauses are not among the cycles.
        """
        self.write_input(codes)
        control, done = Control.START, 0
        for layer in self.program.layers:
            if layer.runs_done > done:
                done = layer.runs_done
                self.go_on(control, stop_after=done)
                self.wait(State.PAUSED)
                control = Control.RESUME
            visit(layer.name, self.read_tensor(layer.output))
        self.go_on(control, stop_after=0)
        self.wait(State.HALTED)
        return self.read_tensor(self.program.output), self.get(Register.CYCLES)

    def go_on(self, control: Control, stop_after: int) -> None:
        """Start or resume; pause when so many runs have ended, 0 for none."""
        self.set(Register.STOP_AFTER, stop_after)
        self.set(Register.CONTROL, control)

    def wait(self, wanted: State) -> None:
        """Wait until the machine is in a state. Error: it stopped otherwise, or hangs."""
        while True:
            status = self.get(Register.STATUS)
            state = State(status & 0xFF)
            if state == wanted:
                return
            if state == State.FAILED:
                error = Error(status >> 8 & 0xFF)
                raise NoMulError(
                    f"the machine stopped with {error.name} at instruction "
                    f"{self.get(Register.PC)}; the program is damaged, compile it again"
                )
            if state != State.RUNNING:
                raise NoMulError(f"the machine is {state.name}, not {wanted.name}; start it again")
            cycles = self.get(Register.CYCLES)
            if cycles > self.MARGIN * self.program.cycles:
                run = self.get(Register.RUNS)
                self.set(Register.CONTROL, Control.STOP)
                raise NoMulError(
                    f"the machine still runs after {cycles} cycles, {self.program.cycles} were "
                    f"predicted; it hangs in run {run}; the program is damaged, compile it again"
                )
            self.transport.idle()

    def write_input(self, codes: np.ndarray) -> None:
        """Put an image into the feature memory."""
        tensor = self.program.input
        words = tensor.to_words(codes[None], self.code_bits(tensor))[0]
        self.write(Region.FEATURES, tensor.address, words)

    def read_tensor(self, tensor) -> np.ndarray:
        """Codes [channels, height, width] of a tensor that stands in the feature memory."""
        parts = pieces(self.word_bits)
        base = (Region.FEATURES << REGION_SHIFT) + tensor.address * parts
        words = self.transport.read(base, tensor.words * parts)
        return tensor.from_words(words.reshape(1, tensor.words, parts), self.code_bits(tensor))[0]

    @property
    def word_bits(self) -> int:
        """Width of a feature word."""
        return self.program.architecture.lanes * self.program.architecture.activation_bits

    def code_bits(self, tensor) -> int:
        """Width of a tensor's codes: a word has as many as the lanes of its layout."""
        return self.word_bits // tensor.layout.lanes

    def write(self, region: Region, address: int, words: np.ndarray) -> None:
        """Write memory words, given as their pieces [words, pieces], from ``address`` on."""
        base = (region << REGION_SHIFT) + address * words.shape[1]
        self.transport.write(base, np.ascontiguousarray(words, "<u4").reshape(-1))

    def get(self, register: Register) -> int:
        """Value of a register."""
        return int(self.transport.read(register, 1)[0])

    def set(self, register: Register, value: int) -> None:
        """Write a register."""
        self.transport.write(register, np.array([value], "<u4"))
