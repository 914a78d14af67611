"""The driver with a whole program: what a machine did layer by layer."""

from collections.abc import Callable

import numpy as np

from boards.accelerator import Accelerator, Transport
from boards.image import Image, Load, Place
from rtl.isa import VERSION
from rtl.registers import Control, Region, Register, State

__all__ = ["Driver", "image_of"]

INDEX_BITS = 31
"""Places in a tensor are spread over memory words as codes of so many bits."""


def image_of(program) -> Image:
    """What a host needs of a program (``compiler.program``)."""
    arch = program.architecture
    lanes = arch.lanes
    source, target = program.input, program.output
    count = int(np.prod(source.shape))
    # Places from 1 on: what no code fills is 0.
    places = np.arange(1, count + 1).reshape(1, *source.shape)
    index = source.to_lanes(places, INDEX_BITS).reshape(-1) - 1
    # Lanes may hold several narrow codes each.
    parts = source.layout.lanes // lanes, target.layout.lanes // lanes
    slots = np.arange(target.words * lanes * parts[1]).reshape(1, target.words, -1)
    slot = target.from_lanes(slots, INDEX_BITS).reshape(-1)
    instructions = program.instructions.astype("<u8").view("<u4").reshape(-1, 2)
    return Image(
        fingerprint=arch.fingerprint,
        version=VERSION,
        cycles=program.cycles,
        lanes=lanes,
        bits=arch.activation_bits,
        loads=(
            Load(Region.INSTRUCTIONS, 0, instructions),
            Load(Region.WEIGHTS, 0, program.weights),
            Load(Region.PARAMETERS, 0, program.parameters),
        ),
        input=Place(source.shape, source.format, source.address, source.words, index, parts[0]),
        output=Place(target.shape, target.format, target.address, target.words, slot, parts[1]),
    )


class Driver(Accelerator):
    """A machine with a program in it, whose layers can be looked at.

    Parameters
    ----------
    transport : Transport
    program : Program
        See ``compiler.program``.
    """

    def __init__(self, transport: Transport, program) -> None:
        self.program = program
        super().__init__(transport, image_of(program))

    def trace(
        self, codes: np.ndarray, visit: Callable[[str, np.ndarray], None]
    ) -> tuple[np.ndarray, int]:
        """Run one image layer by layer: ``visit(name, codes)`` with the tensor of each layer.

        Returns what :meth:`run_codes` returns; pauses are not among the cycles.
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
        return self.read_output(), self.get(Register.CYCLES)

    def read_tensor(self, tensor) -> np.ndarray:
        """Codes [channels, height, width] of a tensor that stands in the feature memory."""
        words = self.read_features(tensor.address, tensor.words)
        bits = self.image.lanes * self.image.bits // tensor.layout.lanes
        return tensor.from_words(words[None], bits)[0]
