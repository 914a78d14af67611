"""Mappings: how a convolution becomes runs of an engine, one file for each engine.

A mapping is a module of the engine's name. The compiler, the cycle model and the simulator know of
it only this:

``map_convolution(architecture, convolution)``
    A :class:`Mapping` of a :class:`Convolution`. Errors: :class:`NoMulError` that names the layer,
    what the engine cannot do and the remedy.
``outline(architecture, convolution, passes)``
    The same mapping for so many passes, whatever the weights: its image is zeros that take no
    memory, its shifts and corrections are 0.
``count_passes(architecture, name, weights)``
    Passes that integer weights take. Errors: as of ``map_convolution``.
``ways(config, convolution, uniform)``
    All ways to do a convolution, each a :class:`Way`, for models that choose among very many
    machines. Weights are not looked at: ``uniform`` says whether all positions of a kernel have
    the same.
``unfolding_of(layer, lanes, vector_words)``
    How an image that only the convolution ``layer`` reads is stored: an
    :class:`~compiler.layout.Unfolding`.
``timing(config, run)``
    When the engine takes the vectors of a :class:`~compiler.settings.Run`: a :class:`Timing`.

The compiler adds what is the same for every engine: bias and shifts, the residual, the output. So
a run of a mapping must finish the words of its tile in this order: group of blocks, row, column.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache

import numpy as np

from compiler.nest import Vector, Walk
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile
from quant.errors import NoMulError
from quant.graph import Window
from rtl.isa import COUNT

__all__ = [
    "LARGEST_COUNT",
    "RUN_OVERHEAD",
    "Convolution",
    "EngineRun",
    "Mapping",
    "Timing",
    "Way",
    "find",
    "tile_period",
]

LARGEST_COUNT = 1 << COUNT.width
"""Most iterations of a loop."""
RUN_OVERHEAD = 30
"""Cycles of a run besides its sums, nearly: only choices between mappings depend on it."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with its tensors in place.

    Parameters
    ----------
    name : str
    weight : int array (outputs, inputs / groups, rows, columns)
    window : Window
    groups : int
    input, output : PlacedTensor
        Their layouts say which channel a lane of a word, or a sum, belongs to.
    residual : PlacedTensor, optional
    sliced : bool
        Whether it adds up only some of the inputs that its outputs depend on, and others the rest.
        Then every word of sums has an accumulator, numbered in the order of the words, and which
        outputs a word holds does not hang on the weights.
    """

    name: str
    weight: np.ndarray
    window: Window
    groups: int
    input: PlacedTensor
    output: PlacedTensor
    residual: PlacedTensor | None = None
    sliced: bool = False


@dataclass(frozen=True)
class EngineRun:
    """One run of the engine: nests, the engine's settings and the outputs that it makes.

    The walk ``weights`` counts from the first weight word of the layer; ``passes`` are the left
    shift of each pass. The tiles of all runs of a layer have the same ``split``.
    """

    activations: Walk
    vector: Vector
    weights: Walk
    sums: Walk
    settings: dict[str, int]
    tile: Tile
    passes: tuple[int, ...]


@dataclass(frozen=True)
class Mapping:
    """A convolution on an engine.

    Parameters
    ----------
    input, output, residual : PlacedTensor
        The convolution's, or the same words seen with other rows and columns.
    weights : uint32 [words, pieces]
    correction : int64 [blocks, lanes]
        What the engine's sums have too much, for each slot of the output; goes off the bias.
    runs : tuple of EngineRun
    """

    input: PlacedTensor
    output: PlacedTensor
    residual: PlacedTensor | None
    weights: np.ndarray
    correction: np.ndarray
    runs: tuple[EngineRun, ...]


@dataclass(frozen=True)
class Timing:
    """When an engine takes its vectors, and gives sums, if the shell always has them ready.

    Parameters
    ----------
    first : int
        Cycles from the start of the weights' stream to the first vector.
    vectors : int
        Vectors of a tile of weights, one a cycle.
    tile : int
        Fewest cycles from the first vector of a tile to that of the next.
    latency : int
        Cycles from a vector to its sums.
    columns, skip_rows, skip_columns : int
        The vectors of a tile are rows of so many columns, of which the first rows, and of each row
        the first columns, give no sums.
    """

    first: int
    vectors: int
    tile: int
    latency: int
    columns: int = 1
    skip_rows: int = 0
    skip_columns: int = 0

    @property
    def giving(self) -> np.ndarray:
        """Which vectors of a tile give sums: int64, ascending."""
        rows = np.arange(self.skip_rows, self.vectors // self.columns)
        columns = np.arange(self.skip_columns, self.columns)
        return (rows[:, None] * self.columns + columns).reshape(-1)


def tile_period(words: int, vectors: int) -> int:
    """Fewest cycles from the first vector of a tile to that of the next.

    The ``words`` of weights of the next are loaded, from the cycle after the first vector on, while
    the ``vectors`` of this one are taken: see :func:`rtl.tile_control.tile_control`.
    """
    return max(vectors, words + 1)


@dataclass(frozen=True)
class Way:
    """One way to do a convolution: what its cycles hang on.

    Parameters
    ----------
    steps : int
        Vectors, or sweeps, of a word of sums in a pass.
    kept : bool
        Whether one tile of weights serves all steps of a pass.
    split, pixels : int
        Blocks, and neighbouring columns, of a word of sums.
    ready : int
        Fewest cycles from the first word of weights to the first vector.
    lines : bool
        Whether windows come from line buffers, which then hold a row of the sweep.
    skip_rows, skip_columns : int
        By how much a sweep is larger than the output.
    parts : int
        How often all steps are gone through, for codes of one word that are taken apart.
    """

    steps: int
    kept: bool
    split: int
    pixels: int
    ready: int = 0
    lines: bool = False
    skip_rows: int = 0
    skip_columns: int = 0
    parts: int = 1

    @property
    def tiles(self) -> int:
        """Tiles of weights of a pass."""
        return self.parts * (1 if self.kept else self.steps)


@cache
def find(engine: str):
    """The mapping of an engine. Errors: :class:`NoMulError` if it has none."""
    if engine not in [module.name for module in pkgutil.iter_modules(__path__)]:
        raise NoMulError(f"the compiler has no mapping for the engine {engine}")
    return importlib.import_module(f"{__name__}.{engine}")
