"""The program simulator: executes a program instruction by instruction, on numpy memories.

It knows the machine (``docs/machine.md``) and nothing of the compiler's intentions: instructions,
memory images and the places of tensors are all that it reads. Several images run side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compiler.cycles import run_cycles
from compiler.emit import unpack_parameters
from compiler.program import Program
from compiler.settings import ProgramError, Run, execute
from quant.errors import NoMulError
from quant.numbers import requantize
from rtl import engines
from rtl.isa import Accumulate, Nest, Opcode, Path

__all__ = ["ProgramResult", "ProgramSimulator"]


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

    def __init__(self, program: Program, batch: int = 8) -> None:
        self.program = program
        self.batch = batch
        self.architecture = program.architecture
        self.engine = engines.find(self.architecture.engine)
        bits = self.architecture.accumulator_bits
        self.parameters = np.stack(unpack_parameters(bits, program.parameters), axis=1)

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
        bits = arch.activation_bits
        self.features = np.zeros((len(codes), 2 * arch.memory.feature_words, arch.lanes), np.int32)
        tensor = program.input
        here = slice(tensor.address, tensor.address + tensor.words)
        self.features[:, here] = tensor.to_lanes(codes, bits)
        tensors: dict[str, np.ndarray] = {}

        def capture(runs: int) -> None:
            for layer in program.layers:
                if layer.runs_done == runs:
                    tensors[layer.name] = self.read(layer.output)

        capture(0)
        time, free, runs = 1, 0, 0
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

    def read(self, tensor) -> np.ndarray:
        """Codes of a tensor as they stand in the feature memory."""
        words = self.features[:, tensor.address : tensor.address + tensor.words]
        return tensor.from_lanes(words, self.architecture.activation_bits)

    def execute_run(self, run: Run) -> None:
        """Activations, sums, accumulators, post-processing, output: sections 1 to 5 of a run."""
        activations, read = self.activations(run)
        sums = self.sums(run, activations)
        finished = self.accumulate(run, sums)
        codes, residual_read = self.post_process(run, finished)
        target = run.addresses(Nest.OUTPUT, self.features.shape[1])
        self.require(run, len(target) == codes.shape[1], "OUTPUT and SUM differ in words")
        self.require(
            run,
            not np.isin(target, np.concatenate([read, residual_read])).any(),
            "writes words that it reads",
        )
        self.features[:, target] = codes & ((1 << self.architecture.activation_bits) - 1)

    def activations(self, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Activation words [N, words, lanes] and the addresses that are read."""
        bounds = run.settings.get(Opcode.BOUNDS)
        row, column = run.coordinates("row"), run.coordinates("column")
        inside = (row >= 0) & (row < bounds["rows"])
        inside &= (column >= 0) & (column < bounds["columns"])
        addresses = self.bank_addresses(run, Nest.ACTIVATION)
        words = self.features[:, addresses]
        words[:, ~inside] = bounds["fill"] & ((1 << self.architecture.activation_bits) - 1)
        return words, addresses[inside]

    def bank_addresses(self, run: Run, nest: Nest) -> np.ndarray:
        """Addresses of a nest that reads features: all in the bank of the first."""
        bank_words = self.architecture.memory.feature_words
        return self.bank(run, nest) * bank_words + run.addresses(nest, bank_words)

    def bank(self, run: Run, nest: Nest) -> int:
        """The bank that a nest reads."""
        return run.origin(nest)["address"] // self.architecture.memory.feature_words % 2

    def sums(self, run: Run, activations: np.ndarray) -> np.ndarray:
        """Words of sums [N, words, lanes]."""
        if run.path is Path.BYPASS:
            return self.extend(activations, bool(run.fields["signed"]))
        self.require(run, run.accumulate is Accumulate.ADD, "MAX on the path ENGINE")
        settings = run.engine_settings(self.engine.Settings)
        depth = self.architecture.memory.weight_words
        addresses = run.addresses(Nest.WEIGHT, 1 << (depth - 1).bit_length())
        self.require(
            run, addresses.max() < len(self.program.weights), "reads weights that nothing wrote"
        )
        weights = self.program.weights[addresses]
        try:
            return self.engine.model(
                self.architecture.engine_config, settings, weights, activations
            )
        except ValueError as error:
            raise ProgramError(f"instruction {run.pc}: the engine stalls: {error}") from None

    def extend(self, codes: np.ndarray, signed: bool) -> np.ndarray:
        """Unsigned codes as the numbers that they stand for."""
        codes = codes.astype(np.int64)
        bits = self.architecture.activation_bits
        return codes - ((codes >> bits - 1) << bits) if signed else codes

    def accumulate(self, run: Run, sums: np.ndarray) -> np.ndarray:
        """Finished words [N, words, lanes], in order."""
        positions, reductions, passes, groups = run.counts(Nest.SUM)
        count = positions * reductions * passes * groups
        self.require(run, sums.shape[1] == count, "ACTIVATION and SUM differ in words")
        largest = run.accumulate is Accumulate.MAX
        sums = sums.reshape(len(sums), groups, passes, reductions, positions, -1)
        finished = np.empty((len(sums), groups, positions, sums.shape[-1]), np.int64)
        addresses = run.addresses(Nest.SUM, self.architecture.memory.accumulator_words)
        addresses = addresses.reshape(groups, passes, reductions, positions)
        if passes * reductions > 1:
            same = (addresses == addresses[:, :1, :1]).all()
            distinct = all(len(np.unique(a)) == positions for a in addresses[:, 0, 0])
            self.require(run, same and distinct, "sums of different outputs share an accumulator")
        shifts = [run.settings.get(Opcode.PASS, p) for p in range(0 if largest else passes)]
        reach = 1 << self.architecture.pass_shift_bits
        self.require(
            run, all(s["shift"] < reach for s in shifts), "PASS shifts further than the machine can"
        )
        for group in range(groups):
            if largest:
                finished[:, group] = sums[:, group].max(axis=(1, 2))
                continue
            total = np.zeros_like(finished[:, group])
            for index, setting in enumerate(shifts):
                part = sums[:, group, index].sum(axis=1) << setting["shift"]
                total += -part if setting["negate"] else part
            finished[:, group] = self.wrap(total)
        return finished.reshape(len(sums), groups * positions, -1)

    def wrap(self, values: np.ndarray) -> np.ndarray:
        """Values modulo ``2**accumulator_bits``, signed."""
        half = 1 << self.architecture.accumulator_bits - 1
        return ((values + half) & (2 * half - 1)) - half

    def post_process(self, run: Run, finished: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes [N, words, lanes] and the residual addresses that are read."""
        post = run.settings.get(Opcode.POST)
        limits = run.settings.get(Opcode.RANGE)
        half = 1 << self.architecture.activation_bits
        held = all(-half <= limits[name] < half for name in ("low", "high"))
        self.require(run, held, "RANGE is wider than the machine's codes")
        groups = run.counts(Nest.SUM)[3]
        images, words, lanes = finished.shape
        total = finished.reshape(images, groups, words // groups, lanes)
        if post["uniform"]:
            bias, shift, residual_shift = map(np.array, (0, post["shift"], post["residual_shift"]))
        else:
            depth = self.architecture.memory.parameter_words
            addresses = run.addresses(Nest.PARAMETER, 1 << (depth - 1).bit_length())
            self.require(
                run, len(addresses) == groups * lanes, "PARAMETER and SUM differ in groups"
            )
            self.require(
                run, addresses.max() < len(self.parameters), "reads parameters that nothing wrote"
            )
            parameters = self.parameters[addresses].reshape(groups, 1, lanes, 3)
            bias, shift, residual_shift = (parameters[..., i] for i in range(3))
        total = total + bias
        read = np.zeros(0, np.int64)
        if post["residual"]:
            self.require(
                run,
                self.bank(run, Nest.ACTIVATION) != self.bank(run, Nest.RESIDUAL),
                "activations and residual in one bank",
            )
            read = self.bank_addresses(run, Nest.RESIDUAL)
            self.require(run, len(read) == words, "RESIDUAL and SUM differ in words")
            residual = self.extend(self.features[:, read], bool(post["residual_signed"]))
            total = total + (residual.reshape(total.shape) << residual_shift)
        codes = requantize(self.wrap(total), shift, limits["low"], limits["high"])
        return codes.reshape(finished.shape), read

    def require(self, run: Run, condition: bool, what: str) -> None:
        """Stop at a run that no program may have."""
        if not condition:
            raise ProgramError(f"instruction {run.pc} (RUN of layer {run.layer}): {what}")
