"""The verify table: every layer of every stage of the chain, checked against the stage before."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from quant.errors import NoMulError

__all__ = ["IMPORT_TOLERANCE", "Mismatch", "Row", "Verification", "compare"]

IMPORT_TOLERANCE = 1e-5
"""Largest relative difference that import may make: the rounding of float32."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference in one layer's tensor of one image.

    Parameters
    ----------
    stage : str
        The stage whose tensor is wrong.
    layer : str
    position : tuple of int
        Image, channel, row, column.
    expected, found : int
        Codes of the stage before and of this one.
    """

    stage: str
    layer: str
    position: tuple[int, ...]
    expected: int
    found: int

    def __str__(self) -> str:
        image, channel, row, column = self.position
        return (
            f"{self.stage}: layer {self.layer} differs at image {image}, channel {channel}, "
            f"row {row}, column {column}: expected {self.expected}, found {self.found}"
        )


@dataclass
class Row:
    """One layer.

    Parameters
    ----------
    name, kind, shape : str
    macs : int
        Multiply-accumulates of one image; 0 for layers without weights.
    predicted : int
        Cycles by the compiler.
    rtl_cycles : int
        Cycles that the hardware counted; 0 where it does not count the layer by itself.
    busy : float or None
        Share of the engine's multiply-add slots that the layer's terms fill.
    wrong : dict of stage to int
        Images on which this layer's tensor differed.
    kept : bool
        Whether the program keeps its tensor, so that it can be compared. What is not kept is only
        seen in the next layer's.
    """

    name: str
    kind: str
    shape: str
    macs: int
    predicted: int
    rtl_cycles: int = 0
    busy: float | None = None
    wrong: dict[str, int] = field(default_factory=lambda: {"quantized": 0, "program": 0, "rtl": 0})
    kept: bool = True


@dataclass
class Verification:
    """What was compared, and what came of it.

    Parameters
    ----------
    rows : list of Row
    images : int
    import_error : float or None
        Largest difference of the float graph's output from the original network's, relative to
        the largest output; None where the original is not at hand.
    predicted, program_cycles, rtl_cycles : int
        Of an image: by the compiler, the program simulator and the hardware.
    first : Mismatch or None
        The first difference that was found.
    outputs : list of int (channels, height, width)
        What the hardware made of each image without pauses.
    exact : bool
        Whether cycles are predicted exactly, as they are without external memory.
    """

    rows: list[Row]
    images: int
    import_error: float | None = None
    predicted: int = 0
    program_cycles: int = 0
    rtl_cycles: int = 0
    first: Mismatch | None = None
    outputs: list[np.ndarray] = field(default_factory=list)
    exact: bool = True

    @property
    def mismatches(self) -> int:
        """Tensors that differed, over all layers, images and stages."""
        return sum(sum(row.wrong.values()) for row in self.rows)

    @property
    def failures(self) -> int:
        """Tensors that differed; where none did, 1 if anything else failed, as cycles can."""
        return self.mismatches or int(self.problem() is not None)

    def note(self, row: Row, mismatch: Mismatch) -> None:
        """Count a tensor that differs."""
        row.wrong[mismatch.stage] += 1
        self.first = self.first or mismatch

    def problem(self) -> str | None:
        """What failed, in one line; None where everything agrees."""
        if self.import_error is not None and not self.import_error <= IMPORT_TOLERANCE:
            return (
                f"import: the graph's output differs from the network's by "
                f"{self.import_error:.2g} of its largest value, allowed is {IMPORT_TOLERANCE:.0e}; "
                "report the network"
            )
        if self.first is not None:
            return f"{self.first} ({self.mismatches} tensors differ); report the network"
        if not self.exact:
            return None
        for row in self.rows:
            if row.predicted != row.rtl_cycles:
                return (
                    f"cycles: layer {row.name} takes {row.rtl_cycles} on the RTL, expected "
                    f"{row.predicted}; report the network"
                )
        if not self.predicted == self.program_cycles == self.rtl_cycles:
            return (
                f"cycles: {self.predicted} predicted, {self.program_cycles} on the program "
                f"simulator, {self.rtl_cycles} on the RTL; report the network"
            )
        return None

    def check(self) -> None:
        """Errors: :class:`NoMulError` with the first thing that differs."""
        problem = self.problem()
        if problem is not None:
            raise NoMulError(problem)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verify.layers": len(self.rows),
            "verify.images": self.images,
            "verify.mismatches": self.mismatches,
            "verify.import_error": self.import_error,
            "cycles.predicted": self.predicted,
            "cycles.program": self.program_cycles,
            "cycles.rtl": self.rtl_cycles,
            "layers": [asdict(row) for row in self.rows],
        }


def compare(
    stage: str, layer: str, image: int, expected: np.ndarray, found: np.ndarray
) -> Iterator[Mismatch]:
    """The first difference of two tensors (channels, height, width), if there is one."""
    if expected.shape != found.shape:
        raise ValueError(f"{layer}: shapes {expected.shape} and {found.shape}")
    wrong = np.argwhere(expected != found)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        yield Mismatch(stage, layer, (image, *place), int(expected[place]), int(found[place]))
