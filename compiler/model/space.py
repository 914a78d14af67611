"""The machines that an exploration looks at: every combination of sizes that makes sense."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from compiler.model.external import Grid
from quant.errors import NoMulError
from rtl.architecture import Architecture

__all__ = ["ENGINES", "Sizes", "engine_tables", "machine"]

ENGINES = ("shift_gemm", "conv5x5", "svpe", "vpe")
PASS_SHIFT_BITS = 4
ACCUMULATOR_BITS = 32


@dataclass(frozen=True)
class Sizes:
    """Words of memories that are tried: all powers of two between two.

    Parameters
    ----------
    features, weights, accumulators, queue : (least, most)
    """

    features: tuple[int, int] = (1 << 10, 1 << 17)
    weights: tuple[int, int] = (1 << 10, 1 << 16)
    accumulators: tuple[int, int] = (1 << 8, 1 << 10)
    queue: tuple[int, int] = (1 << 6, 1 << 9)

    def grid(self) -> Grid:
        """All pairs of accumulators and queue with all pairs of features and weights."""
        inner = list(product(powers(*self.accumulators), powers(*self.queue)))
        outer = list(product(powers(*self.features), powers(*self.weights)))
        return Grid(*np.array(inner).T, *np.array(outer).T)


def powers(least: int, most: int) -> list[int]:
    """Powers of two from one to another.

    >>> powers(4, 16)
    [4, 8, 16]
    """
    return [1 << n for n in range(least.bit_length() - 1, most.bit_length())]


def engine_tables(engines: tuple[str, ...], line_words: int) -> Iterator[dict[str, Any]]:
    """All ``[engine]`` tables; ``line_words`` is the longest row of the network with padding."""
    vectors, groups = (1, 2, 3, 4), (1, 2, 4)
    lines = 1 << (max(line_words, 16) - 1).bit_length()
    for kind in engines:
        if kind == "shift_gemm":
            formats, lanes = ("w3", "w4r", "w4", "sp2", "log4", "log5"), (8, 16, 32, 64)
            for n, t, p, weights in product(lanes, vectors, groups, formats):
                for share in (0, n // 2, n * 3 // 4):
                    yield table(kind, n, t, p) | {"weights": weights, "dsp_columns": share}
        elif kind == "conv5x5":
            for n, t, p in product((10, 20, 40, 60), vectors, groups):
                yield table(kind, n, t, p)
        else:
            widths = ("n3", "n4") if kind == "svpe" else ("s4", "s8")
            for n, t, p, weights in product((4, 8, 16, 32), vectors, groups, widths):
                own = {"kernel": 3, "line_words": lines, "weights": weights}
                yield table(kind, n, t, p) | own


def table(kind: str, lanes: int, vector_words: int, groups: int) -> dict[str, Any]:
    return {"kind": kind, "lanes": lanes, "vector_words": vector_words, "groups": groups}


def machine(
    engine: dict[str, Any],
    part: str,
    clock_mhz: float,
    activation_bits: int,
    **memory: int,
) -> Architecture | None:
    """A machine with an engine; None where there is no such one.

    ``memory`` has the words of each memory that is not as small as can be.
    """
    words = {
        "feature_words": 512,
        "weight_words": 1024,
        "parameter_words": 64,
        "accumulator_words": 256,
        "queue_words": 64,
        "instruction_words": 4096,
    }
    numbers = {
        "activation_bits": activation_bits,
        "accumulator_bits": ACCUMULATOR_BITS,
        "pass_shift_bits": PASS_SHIFT_BITS,
        "logarithmic": 0,
    }
    name = "-".join(str(value) for key, value in engine.items() if key != "line_words")
    try:
        return Architecture.from_dict(
            {
                "name": name,
                "part": part,
                "clock_mhz": clock_mhz,
                "engine": engine,
                "numbers": numbers,
                "memory": {**words, **memory},
            }
        )
    except NoMulError:
        return None
