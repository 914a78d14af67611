"""The driver with a whole program: what a machine did layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boards.accelerator import Accelerator, Transport
from boards.buffers import Memory
from boards.image import Image, Load, Place, Room
from rtl.dma.registers import (
    BEAT,
    DMA_REGION,
    MARK_COUNT,
    Buffer,
    MarkRegister,
    mark_address,
)
from rtl.isa import VERSION, Opcode, decode
from rtl.registers import REGION_SHIFT, Control, Region, Register, State

__all__ = ["Driver", "LayerTime", "image_of"]

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
    beats, buffers = 0, tuple[Room, ...]()
    if arch.external:
        beats = -(-lanes * arch.activation_bits // (8 * BEAT))
        weights = program.external.reshape(-1)
        buffers = (
            Room(Buffer.PROGRAM, instructions.nbytes, instructions.reshape(-1)),
            Room(Buffer.WEIGHTS, weights.nbytes, weights),
            Room(Buffer.FEATURES, program.external_words * beats * BEAT, np.zeros(0, np.uint32)),
        )
    return Image(
        fingerprint=arch.fingerprint,
        version=VERSION,
        cycles=program.cycles,
        lanes=lanes,
        bits=arch.activation_bits,
        loads=tuple(
            Load(region, 0, words)
            for region, words in (
                # A machine with external memory fetches the others itself.
                (Region.INSTRUCTIONS, instructions[: arch.memory.instruction_words]),
                (Region.WEIGHTS, program.weights),
                (Region.PARAMETERS, program.parameters),
            )
            if len(words)
        ),
        input=Place(source.shape, source.format, source.address, source.words, index, parts[0]),
        output=Place(target.shape, target.format, target.address, target.words, slot, parts[1]),
        beats=beats,
        buffers=buffers,
    )


@dataclass(frozen=True)
class LayerTime:
    """What a layer took.

    Parameters
    ----------
    cycles : int
        From its first run, of the first layer from the start, to the next layer's.
    waits : int
        Of them, in which the program waited for transfers and no run was under way.
    """

    cycles: int
    waits: int


class Driver(Accelerator):
    """A machine with a program in it, whose layers can be looked at.

    Parameters
    ----------
    transport : Transport
    program : Program
        See ``compiler.program``.
    memory : Memory, optional
        Of a machine that has external memory.
    """

    def __init__(self, transport: Transport, program, memory: Memory | None = None) -> None:
        self.program = program
        super().__init__(transport, image_of(program), memory)

    def trace(
        self, codes: np.ndarray, visit: Callable[[str, np.ndarray], None]
    ) -> tuple[np.ndarray, int]:
        """Run one image layer by layer: ``visit(name, codes)`` with the tensor of each layer.

        Returns what :meth:`run_codes` returns; pauses are not among the cycles. With external
        memory tiles of several layers are under way at once, so there the image runs to its end,
        and the layers that are kept are visited then.
        """
        if self.image.beats:
            result = self.run_codes(codes)
            for layer in self.program.layers:
                if layer.kept:
                    visit(layer.name, self.read_tensor(layer.output))
            return result
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
        """Codes [channels, height, width] of a tensor as it stands among the features."""
        words = self.read_features(tensor.address, tensor.words)
        bits = self.image.lanes * self.image.bits // tensor.layout.lanes
        return tensor.from_words(words[None], bits)[0]

    def layer_times(self) -> dict[str, LayerTime]:
        """What each layer of the last image took, of a machine with external memory.

        A layer that is joined to the next is counted there, and so are those behind the last mark
        that a machine has. Empty for other machines.
        """
        words = self.program.instructions
        first = (DMA_REGION << REGION_SHIFT) + mark_address(0, MarkRegister.CYCLES)
        marks = words[words & 0x3F == Opcode.MARK.value]
        if not len(marks):
            return {}
        noted = self.transport.read(first, 2 * MARK_COUNT).reshape(-1, 2).astype(np.int64)
        times = {}
        before = np.zeros(2, np.int64)
        for word in marks.tolist():
            index = decode(word).fields["index"]
            cycles, waits = (noted[index] - before).tolist()
            times[self.program.layers[index].name] = LayerTime(cycles, waits)
            before = noted[index]
        return times
