"""The program simulator: executes a program instruction by instruction, on numpy memories.

It knows the machine (``docs/machine.md``) and nothing of the compiler's intentions: instructions,
memory images and the places of tensors are all that it reads. Several images run side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from compiler.cycles import BEFORE, run_cycles
from compiler.emit import unpack_parameters
from compiler.program import Program
from compiler.settings import ProgramError, Run, execute
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from quant.numbers import requantize, to_log
from rtl import engines
from rtl.isa import ADDRESS, Nest, Opcode, Path
from sim.reads import ActivationReads

__all__ = ["ProgramResult", "ProgramSimulator"]

CHUNK = 1 << 23
"""Codes of activations that are held at once, nearly."""

SHARED = "sums of different outputs share an accumulator"
TILES = "a tile of weights serves vectors of two groups of outputs"


@dataclass(frozen=True)
class ProgramResult:
    """What a program made.

    Parameters
    ----------
    outputs : int64 (N, C, H, W)
        Codes of the network's output.
    tensors : dict of name to int64 (N, C, H, W)
        Codes of every layer.
    cycles : int
        Cycles of one image.
    """

    outputs: np.ndarray
    tensors: dict[str, np.ndarray]
    cycles: int


class ProgramSimulator:
    """A machine with a program in its memories.

    Parameters
    ----------
    program : Program
    batch : int
        Images that run side by side; more take more memory.
    """

    WORD: ClassVar[type] = np.int32
    """Type of a lane of a feature word."""
    POST: ClassVar[Opcode] = Opcode.POST
    """The instruction that says whether there is a residual."""

    def __init__(self, program: Program, batch: int = 8) -> None:
        self.program = program
        self.batch = batch
        self.architecture = program.architecture
        self.engine = engines.find(self.architecture.engine)
        self.weight_image, self.parameter_image = program.weights, program.parameters

    def run(
        self, codes: np.ndarray, progress: Callable[[int], None] | None = None
    ) -> ProgramResult:
        """Run images, given as integer codes (N, C, H, W) of the input's format.

        ``progress`` is called with the number of images done. Errors: :class:`NoMulError` for
        codes of another shape, type or range, and :class:`~compiler.settings.ProgramError` for a
        program that a machine would refuse or whose result is not defined.
        """
        codes = self.check_codes(codes)
        parts = []
        for start in range(0, len(codes), self.batch):
            parts.append(self.run_batch(codes[start : start + self.batch]))
            if progress:
                progress(min(start + self.batch, len(codes)))
        return ProgramResult(
            np.concatenate([part.outputs for part in parts]),
            {
                name: np.concatenate([part.tensors[name] for part in parts])
                for name in parts[0].tensors
            },
            parts[0].cycles,
        )

    def check_codes(self, codes: np.ndarray) -> np.ndarray:
        """The codes as int64, or :class:`NoMulError` for what is wrong with them."""
        tensor = self.program.input
        codes = np.asarray(codes)
        if codes.ndim != 4 or codes.shape[1:] != tensor.shape or not len(codes):
            raise NoMulError(
                f"images have the shape {codes.shape}, {self.program.name} takes "
                f"(N, {', '.join(map(str, tensor.shape))}) with N of 1 or more"
            )
        if not np.issubdtype(codes.dtype, np.integer):
            raise NoMulError(f"images are {codes.dtype}, not integer codes; quantize them first")
        if not tensor.format.holds(codes):
            raise NoMulError(
                f"image codes {codes.min()} .. {codes.max()} are outside {tensor.format.low} .. "
                f"{tensor.format.high}; quantize them to the input's format"
            )
        return codes.astype(np.int64)

    def run_batch(self, codes: np.ndarray) -> ProgramResult:
        """Run some images side by side."""
        arch, program = self.architecture, self.program
        shape = (len(codes), arch.memory.feature_words, arch.lanes)
        self.features: np.ndarray = np.zeros(shape, self.WORD)
        tensor = program.input
        here = slice(tensor.address, tensor.address + tensor.words)
        self.features[:, here] = self.to_words(tensor, codes)
        tensors: dict[str, np.ndarray] = {}

        def capture(runs: int) -> None:
            for layer in program.layers:
                if layer.runs_done == runs:
                    tensors[layer.name] = self.read(layer.output)

        capture(0)
        time, free, runs = BEFORE, 0, 0
        for event in execute(arch, program.instructions.tolist()):
            if isinstance(event, Run):
                time = max(time, free)
                free = time + run_cycles(arch, event)
                self.execute_run(event)
                runs += 1
                capture(runs)
            if event is not Opcode.HALT:
                time += 1
        return ProgramResult(self.read(program.output), tensors, max(time, free) + 1)

    def read(self, tensor: PlacedTensor) -> np.ndarray:
        """Codes of a tensor as they stand in the feature memory."""
        words = self.features[:, tensor.address : tensor.address + tensor.words]
        return self.from_words(tensor, words)

    def to_words(self, tensor: PlacedTensor, codes: np.ndarray) -> np.ndarray:
        """Codes (N, C, H, W) as they stand in the feature memory: ``[N, words, lanes]``."""
        return tensor.to_lanes(codes, self.architecture.activation_bits)

    def from_words(self, tensor: PlacedTensor, words: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_words`."""
        return tensor.from_lanes(words, self.architecture.activation_bits)

    @cached_property
    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Bias and shift of the channels of each parameter word."""
        arch = self.architecture
        return unpack_parameters(arch.accumulator_bits, self.parameter_image, arch.lanes)

    def execute_run(self, run: Run) -> None:
        """Activations, sums, post-processing, output: what ``docs/machine.md`` says of a run."""
        reads = ActivationReads.of(self.architecture, run, self.require)
        finished = self.finished(run, reads, self.features)
        self.leave(run, finished)
        members = finished.shape[2]
        written = self.written(run, finished.shape[1])
        if run.path is Path.BYPASS:
            seen = reads.inside[:, :, 0].reshape(finished.shape[1], -1, members).any(axis=1)
            self.require(
                run, bool(seen.reshape(-1)[written].all()), "a window lies wholly outside the map"
            )
        residual, residual_read = self.residual(run, finished.shape[1] * members)
        codes = self.post_process(run, finished, residual)
        target = run.addresses(Nest.OUTPUT, 1 << ADDRESS.width)
        self.require(run, len(target) == codes.shape[1], "OUTPUT and SUM differ in words")
        target = target[written]
        depth = self.architecture.memory.feature_words
        self.require(run, target.max(initial=0) < depth, "writes features that are not there")
        distinct = self.distinct(run, target, written)
        self.require(run, distinct == len(target), "writes a word twice")
        self.require(
            run, not np.isin(target, residual_read[written]).any(), "writes words that it reads"
        )
        self.check_reads(run, reads, finished, target, written)
        self.write(run, target, codes[:, written], written)

    def leave(self, run: Run, finished: np.ndarray) -> None:
        """A run's finished sums stay in the accumulators, where here no run goes on with them."""

    def distinct(self, run: Run, target: np.ndarray, written: np.ndarray) -> int:
        """How many of the places that a run writes differ."""
        return len(np.unique(target))

    def write(self, run: Run, target: np.ndarray, codes: np.ndarray, written: np.ndarray) -> None:
        """Write codes ``[N, words, channels]`` to ``target``, those words ``written`` of all."""
        self.features[:, target] = codes & self.mask

    @property
    def mask(self) -> int:
        """All bits of a code."""
        return (1 << self.architecture.activation_bits) - 1

    def check_reads(
        self,
        run: Run,
        reads: ActivationReads,
        finished: np.ndarray,
        target: np.ndarray,
        written: np.ndarray,
    ) -> None:
        """Refuse a run whose outputs depend on words that it writes.

        Words with weights 0, and those of members that are not written, may be read while they
        are written: so the sums decide, with the codes of such words inverted.
        """
        if not np.isin(reads.addresses[reads.inside], target).any():
            return
        other = self.features[:1].copy()
        other[:, target] ^= self.mask
        found = self.finished(run, reads, other).reshape(1, len(written), -1)[:, written]
        same = finished[:1].reshape(found.shape[0], len(written), -1)[:, written]
        self.require(run, np.array_equal(found, same), "writes words that it reads")

    def written(self, run: Run, words: int) -> np.ndarray:
        """Which feature words of ``words`` words of sums are written: bool ``[words * P]``."""
        members = self.architecture.groups
        setting = run.settings.get(Opcode.MEMBERS)
        self.require(
            run, setting["count"] <= members, "MEMBERS has a count that no word of sums has"
        )
        counts = run.counts(Nest.OUTPUT)
        level = 3 if setting["last_level"] else 1
        index = np.arange(words * members)
        last = index // int(np.prod(counts[:level])) % counts[level] == counts[level] - 1
        return ~last | (index % members < setting["count"])

    def finished(self, run: Run, reads: ActivationReads, features: np.ndarray) -> np.ndarray:
        """Finished words of sums, int64 ``[N, words, P, lanes]``, some groups at a time."""
        positions, reductions, passes, groups = run.counts(Nest.SUM)
        share = self.share(run)
        tiles, rest = divmod(len(reads.addresses), share.vectors)
        self.require(run, rest == 0, "the engine stalls")
        words = positions * reductions * passes * groups
        self.require(run, tiles * share.sums == words, "ACTIVATION and SUM differ in words")
        if run.path is Path.BYPASS:
            self.require(run, positions * passes == 1, "SUM has loops that no bypass has")
        else:
            self.check_accumulators(run)
        weights = self.weights(run, tiles * share.weights)
        vectors, rest = divmod(len(reads.addresses), groups)
        self.require(run, rest == 0, TILES)
        size = features.shape[0] * vectors * reads.addresses[0].size * features.shape[2]
        chunk = max(1, CHUNK // size)
        parts = []
        for first in range(0, groups, chunk):
            count = min(chunk, groups - first)
            part = slice(first * vectors, (first + count) * vectors)
            found = reads.words(features, part)
            if weights is None:
                parts.append(self.largest(run, reads, found, part, count))
            else:
                parts.append(self.accumulate(run, found, weights, part, count))
        return np.concatenate(parts, axis=1)

    def share(self, run: Run) -> engines.Share:
        """What belongs to a tile of weights; past the engine each vector is a word of its own."""
        if run.path is Path.BYPASS:
            return engines.Share(0, 1, 1)
        settings = run.engine_settings(self.engine.Settings)
        try:
            return self.engine.share(self.architecture.engine_config, settings)
        except ValueError as error:
            self.require(run, False, str(error))
            raise

    def weights(self, run: Run, words: int) -> np.ndarray | None:
        """The words of weights a run takes; None past the engine."""
        if run.path is Path.BYPASS:
            return None
        addresses = run.addresses(Nest.WEIGHT, 1 << ADDRESS.width)
        self.require(
            run, addresses.max() < len(self.weight_image), "reads weights that nothing wrote"
        )
        self.require(run, len(addresses) == words, "the engine stalls")
        return self.weight_image[addresses]

    def accumulate(
        self, run: Run, words: np.ndarray, weights: np.ndarray, part: slice, groups: int
    ) -> np.ndarray:
        """Sums of some groups of outputs on the path ENGINE: ``[N, words, P, lanes]``."""
        positions, reductions, passes, _ = run.counts(Nest.SUM)
        share = self.share(run)
        vectors, tile = share.vectors, share.weights
        self.require(run, part.start % vectors == 0 and part.stop % vectors == 0, TILES)
        first, last = part.start // vectors * tile, part.stop // vectors * tile
        settings, vectors_in = self.operands(run, words, part)
        sums = self.engine.model(
            self.architecture.engine_config, settings, weights[first:last], vectors_in
        )
        sums = sums.reshape(len(words), groups, passes, reductions, positions, *sums.shape[2:]).sum(
            axis=3
        )
        shifts = np.array([run.settings.get(Opcode.PASS, p)["shift"] for p in range(passes)])
        reach = 1 << self.architecture.pass_shift_bits
        self.require(run, shifts.max() < reach, "PASS shifts further than the machine can")
        total = (sums << shifts[:, None, None, None]).sum(axis=2)
        return self.wrap(run, total.reshape(len(words), groups * positions, *total.shape[3:]))

    def operands(self, run: Run, words: np.ndarray, part: slice) -> tuple[dict, np.ndarray]:
        """What the engine's model gets: its settings, and the codes of some vectors."""
        return run.engine_settings(self.engine.Settings), words

    def check_accumulators(self, run: Run) -> None:
        """Each position of a group has an accumulator of its own, the same in every round."""
        positions, reductions, passes, groups = run.counts(Nest.SUM)
        if passes * reductions == 1:
            return
        depth = self.architecture.memory.accumulator_words
        addresses = run.addresses(Nest.SUM, depth).reshape(groups, -1, positions)
        same = bool((addresses == addresses[:, :1]).all())
        distinct = bool((np.diff(np.sort(addresses[:, 0], axis=1), axis=1) > 0).all())
        self.require(run, same and distinct, SHARED)

    def largest(
        self, run: Run, reads: ActivationReads, words: np.ndarray, part: slice, groups: int
    ) -> np.ndarray:
        """Largest codes of some windows, word 0 of each column group: ``[N, words, P, lanes]``."""
        signed = bool(run.fields["signed"])
        codes = self.extend(words[:, :, :, 0], signed)
        smallest = -(1 << self.architecture.activation_bits - 1) if signed else 0
        codes = np.where(reads.inside[part, :, :1], codes, smallest)
        return codes.reshape(len(codes), groups, -1, *codes.shape[2:]).max(axis=2)

    def extend(self, codes: np.ndarray, signed: bool) -> np.ndarray:
        """Unsigned codes as the numbers that they stand for."""
        codes = codes.astype(np.int64)
        bits = self.architecture.activation_bits
        return codes - ((codes >> bits - 1) << bits) if signed else codes

    def wrap(self, run: Run, values: np.ndarray) -> np.ndarray:
        """Values modulo ``2**accumulator_bits``, signed."""
        half = 1 << self.architecture.accumulator_bits - 1
        return ((values + half) & (2 * half - 1)) - half

    def residual(self, run: Run, words: int) -> tuple[np.ndarray | int, np.ndarray]:
        """Residual codes ``[N, words, lanes]`` and the address of each; 0 and none without."""
        post = run.settings.get(self.POST)
        if not post["residual"]:
            return 0, np.full(words, -1)
        depth = self.architecture.memory.feature_words
        addresses = run.addresses(Nest.RESIDUAL, 1 << ADDRESS.width)
        self.require(run, len(addresses) == words, "RESIDUAL and SUM differ in words")
        used = addresses[self.written(run, words // self.architecture.groups)]
        self.require(run, used.max(initial=0) < depth, "reads features that are not there")
        codes = self.features[:, addresses % depth]
        return self.load_residual(run, codes, bool(post["residual_signed"])), addresses

    def load_residual(self, run: Run, words: np.ndarray, signed: bool) -> np.ndarray:
        """Residual codes ``[N, words, channels]`` of feature words."""
        return self.extend(words, signed)

    def post_process(
        self, run: Run, finished: np.ndarray, residual: np.ndarray | int
    ) -> np.ndarray:
        """Codes [N, words * P, lanes]."""
        post = run.settings.get(Opcode.POST)
        limits = run.settings.get(Opcode.RANGE)
        half = 1 << self.architecture.activation_bits
        held = all(-half <= limits[name] < half for name in ("low", "high"))
        self.require(run, held, "RANGE is wider than the machine's codes")
        logarithmic = bool(post["logarithmic"])
        able = bool(self.architecture.logarithmic)
        self.require(run, able or not logarithmic, "the machine has no logarithmic codes")
        images, words, members, lanes = finished.shape
        total = finished.reshape(images, words * members, lanes)
        addresses = self.parameter_addresses(run, words * members)
        biases, shifts = self.parameters
        total = self.wrap(run, total + biases[addresses])
        shift = shifts[addresses]
        # (t / 2**shift + (r << left)) / 2**right over one denominator.
        total = total + (residual << post["residual_left"] + shift)
        codes = requantize(total, shift + post["right"], limits["low"], limits["high"])
        return to_log(codes) if logarithmic else codes

    def parameter_addresses(self, run: Run, words: int) -> np.ndarray:
        """The parameter word of each of a run's feature words."""
        addresses = run.addresses(Nest.PARAMETER, 1 << ADDRESS.width)
        self.require(run, len(addresses) == words, "PARAMETER and SUM differ in words")
        depth = len(self.parameter_image)
        self.require(run, addresses.max() < depth, "reads parameters that nothing wrote")
        return addresses

    def require(self, run: Run, condition: bool, what: str) -> None:
        """Stop at a run that no program may have."""
        if not condition:
            raise ProgramError(f"instruction {run.pc} (RUN of layer {run.layer}): {what}")
