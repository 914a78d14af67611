"""The program simulator of machines whose networks stand in external memory."""

import numpy as np

from compiler.emit import unpack_parameters
from compiler.program import Program
from compiler.settings import Move, ProgramError, Run, execute
from compiler.tensor import PlacedTensor
from compiler.tiling.emit import word_bits
from compiler.tiling.transfers import word_beats
from rtl.dma.registers import Buffer
from rtl.isa import Nest, Path
from rtl.packing import pieces
from rtl.registers import Region
from sim.program import SHARED, ProgramResult, ProgramSimulator
from sim.reads import ActivationReads

__all__ = ["ExternalSimulator"]

UNWRITTEN = -1
"""What words of the buffer of tensors hold that nothing has written."""


class ExternalSimulator(ProgramSimulator):
    """:class:`~sim.program.ProgramSimulator` with buffers in external memory.

    A transfer is done when its ``MOVE`` is executed. The machine does it later, but before what
    waits for it: the compiler's waits are checked by the RTL, not here. Cycles are those that the
    program predicts.
    """

    def __init__(self, program: Program, batch: int = 8) -> None:
        super().__init__(program, batch)
        self.bits = word_bits(self.architecture)
        memory = self.architecture.memory
        self.weight_image, self.parameter_image = (
            np.zeros((words, pieces(self.bits[region])), np.uint32)
            for region, words in (
                (Region.WEIGHTS, memory.weight_words),
                (Region.PARAMETERS, memory.parameter_words),
            )
        )

    def run_batch(self, codes: np.ndarray) -> ProgramResult:
        arch, program = self.architecture, self.program
        lanes = arch.lanes
        self.features = np.zeros((len(codes), arch.memory.feature_words, lanes), self.WORD)
        depth = arch.memory.accumulator_words
        self.sums = np.zeros((len(codes), depth, arch.groups, lanes), np.int64)
        self.held = np.zeros(depth, np.bool_)
        size = len(codes), program.external_words, lanes
        self.outside: np.ndarray = np.full(size, UNWRITTEN, self.WORD)
        source = program.input
        here = slice(source.address, source.address + source.words)
        self.outside[:, here] = self.to_words(source, codes)
        for event in execute(arch, program.instructions.tolist()):
            if isinstance(event, Move):
                self.move(event)
            elif isinstance(event, Run):
                self.execute_run(event)
        tensors = {layer.name: self.read(layer.output) for layer in program.layers if layer.kept}
        return ProgramResult(self.read(program.output), tensors, program.cycles)

    def finished(self, run: Run, reads: ActivationReads, features: np.ndarray) -> np.ndarray:
        """See the simulator without external memory; on top of what accumulators hold."""
        found = super().finished(run, reads, features)
        if not run.fields["continues"] or run.path is Path.BYPASS:
            return found
        places = self.accumulators(run)
        self.require(run, len(np.unique(places)) == len(places), SHARED)
        self.require(run, bool(self.held[places].all()), "continues sums that nothing has made")
        return self.wrap(run, found + self.sums[: len(found), places])

    def leave(self, run: Run, finished: np.ndarray) -> None:
        places = self.accumulators(run)
        self.sums[:, places] = finished
        self.held[places] = True

    def accumulators(self, run: Run) -> np.ndarray:
        """Where each finished word of sums stands: int64."""
        positions, reductions, passes, groups = run.counts(Nest.SUM)
        addresses = run.addresses(Nest.SUM, len(self.held))
        return addresses.reshape(groups, reductions * passes, positions)[:, -1].reshape(-1)

    def read(self, tensor: PlacedTensor) -> np.ndarray:
        """Codes of a tensor as they stand in external memory."""
        words = self.outside[:, tensor.address : tensor.address + tensor.words]
        return self.from_words(tensor, words)

    def move(self, move: Move) -> None:
        """Do a transfer. Errors: :class:`ProgramError` for one that a machine would refuse."""
        region = Region(move.region)
        if region is Region.INSTRUCTIONS:
            return  # the program is followed in one piece
        beats = word_beats(self.bits[region])
        rows, words = np.arange(move.rows)[:, None], np.arange(move.words)
        inside = (move.address + rows * move.address_stride + words).reshape(-1)
        outside = (move.offset + rows * move.memory_stride + words * beats).reshape(-1)
        if region is Region.FEATURES:
            buffer, size = Buffer.FEATURES, self.outside.shape[1] * beats
            depth = self.features.shape[1]
        else:
            buffer, size = Buffer.WEIGHTS, len(self.program.external)
            chip = self.weight_image if region is Region.WEIGHTS else self.parameter_image
            depth = len(chip)
        for wrong, what in (
            (move.buffer != buffer, f"moves {region.name} from or to buffer {move.buffer}"),
            (move.store and region is not Region.FEATURES, f"stores {region.name}"),
            (inside.max(initial=-1) >= depth, f"leaves {region.name}"),
            (outside.max(initial=-1) + beats > size, f"leaves buffer {move.buffer}"),
        ):
            if wrong:
                raise ProgramError(f"a transfer {what}")
        if region is Region.FEATURES and move.store:
            self.outside[:, outside // beats] = self.features[:, inside]
        elif region is Region.FEATURES:
            self.features[:, inside] = self.outside[:, outside // beats]
        else:
            held = self.program.external[outside[:, None] + np.arange(beats)]
            held = held.reshape(len(inside), -1)[:, : chip.shape[1]]
            chip[inside, : held.shape[1]] = held

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Bias and shift of each parameter word, as it is now."""
        arch = self.architecture
        return unpack_parameters(arch.accumulator_bits, self.parameter_image, arch.lanes)
