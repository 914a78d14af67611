"""The program simulator of machines whose codes split."""

from functools import cache
from typing import ClassVar

import numpy as np

from compiler.settings import Run
from compiler.split import unpack_split_parameters, width_code
from compiler.tensor import PlacedTensor
from rtl.isa import Nest, Opcode
from rtl.split.load import PackedLoad
from rtl.split.noise import Noise
from rtl.split.parts import PARTS, Width, codes_of, fields_of, sum_bits, width_bits
from rtl.split.requantize import SplitRequantize
from rtl.split.store import PackedStore
from rtl.split.window import WindowOperation
from sim.program import ProgramSimulator
from sim.reads import ActivationReads

__all__ = ["SplitSimulator"]


class SplitSimulator(ProgramSimulator):
    """:class:`~sim.program.ProgramSimulator` whose feature words are fields of 32 bits."""

    WORD: ClassVar[type] = np.int64
    POST: ClassVar[Opcode] = Opcode.REQUANTIZE

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.place_bits = self.architecture.accumulator_bits // PARTS

        @cache
        def parameters_of(width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            words, lanes = self.parameter_image, self.architecture.lanes
            return unpack_split_parameters(self.place_bits, width, words, lanes)

        self.parameters_of = parameters_of

    def to_words(self, tensor: PlacedTensor, codes: np.ndarray) -> np.ndarray:
        width = width_code(tensor.format.bits)
        return fields_of(tensor.to_lanes(codes, width_bits(width)), width)

    def from_words(self, tensor: PlacedTensor, words: np.ndarray) -> np.ndarray:
        width = width_code(tensor.format.bits)
        return tensor.from_lanes(codes_of(words, width, False), width_bits(width))

    def widths(self, run: Run) -> dict[str, int]:
        """Widths and operation of a run."""
        return run.settings.get(Opcode.WIDTHS)

    def index(self, run: Run, nest: Nest) -> np.ndarray:
        """The iteration of level 2 at each step of a nest."""
        counts = run.counts(nest)
        inner = counts[0] * counts[1]
        return np.arange(run.words(nest)) // inner % counts[2]

    def operands(self, run: Run, words: np.ndarray, part: slice) -> tuple[dict, np.ndarray]:
        widths, signed = self.widths(run), bool(run.fields["signed"])
        index = self.index(run, Nest.ACTIVATION)[part, None, None]
        codes = PackedLoad.model(Width.W32.value, widths["activation"], index, signed, words)
        settings = run.engine_settings(self.engine.Settings)
        return settings | {"width": widths["run"]}, codes

    def largest(
        self, run: Run, reads: ActivationReads, words: np.ndarray, part: slice, groups: int
    ) -> np.ndarray:
        widths, signed = self.widths(run), bool(run.fields["signed"])
        index = self.index(run, Nest.ACTIVATION)[part, None]
        codes = PackedLoad.model(
            widths["run"], widths["activation"], index, signed, words[:, :, :, 0]
        )
        inside = reads.inside[part, :, :1]
        window = run.counts(Nest.SUM)[1]
        bits = sum_bits(self.place_bits, widths["run"])
        # Images last, so that the windows are first.
        results = WindowOperation.model(
            bits, widths["operation"], codes.swapaxes(0, 1), inside[:, None], window
        )
        return results.swapaxes(0, 1)

    def wrap(self, run: Run, values: np.ndarray) -> np.ndarray:
        bits = sum_bits(self.place_bits, self.widths(run)["run"])
        if bits == 64:
            return values
        half = 1 << bits - 1
        return (values + half & 2 * half - 1) - half

    def load_residual(self, run: Run, words: np.ndarray, signed: bool) -> np.ndarray:
        widths = self.widths(run)
        index = self.index(run, Nest.RESIDUAL)
        return PackedLoad.model(widths["run"], widths["residual"], index, signed, words)

    def distinct(self, run: Run, target: np.ndarray, written: np.ndarray) -> int:
        widths = self.widths(run)
        groups = 1 << widths["run"] - widths["output"]
        index = self.index(run, Nest.OUTPUT)[written] % groups
        return len(np.unique(target * PARTS + index))

    def write(self, run: Run, target: np.ndarray, codes: np.ndarray, written: np.ndarray) -> None:
        widths = self.widths(run)
        index = self.index(run, Nest.OUTPUT)[written]
        fields, masks = PackedStore.model(widths["run"], widths["output"], index, codes)
        # Words of several parts are written as often as they have parts.
        for group in range(int(index.max()) + 1):
            now = index == group
            kept = self.features[:, target[now]] & ~masks[now][:, None]
            self.features[:, target[now]] = kept | fields[:, now]

    def post_process(
        self, run: Run, finished: np.ndarray, residual: np.ndarray | int
    ) -> np.ndarray:
        post, width = run.settings.get(Opcode.REQUANTIZE), self.widths(run)["run"]
        low, high = (run.settings.get(Opcode.LIMIT, upper)["value"] for upper in (0, 1))
        images, words, _, channels = finished.shape
        addresses = self.parameter_addresses(run, words)
        biases, shifts, keys = self.parameters_of(width)
        total = finished.reshape(images, words, channels) + biases[addresses]
        noise = None
        if post["stochastic"]:
            positions = run.counts(Nest.PARAMETER)[2]
            of_blocks = keys[addresses[::positions]]
            lanes = self.architecture.lanes
            noise = Noise.model(width, lanes, post["seed"], of_blocks, positions)
        return SplitRequantize.model(
            total, np.asarray(residual), shifts[addresses], noise, post["offset"], low, high
        )
