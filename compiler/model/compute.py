"""Cycles of runs in closed form, for arrays of machines and tiles at once.

The rule of ``docs/machine.md`` for the runs that the mappings make, with two liberties: parts of a
map are of equal size, be it a broken one, and where the queue is full, the sweep that finishes
words takes as long as post-processing needs for what the queue does not hold. Exact elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from compiler.cycles import FIRST_BYPASS, FIRST_WEIGHT, QUEUE
from compiler.mapping import LARGEST_COUNT, Way
from compiler.model.work import Work
from rtl.architecture import Architecture

__all__ = ["Engine", "bypass_cycles", "engine_cycles"]

SWAP = 1
"""Cycles between the first vector of a tile and the first word of the next that is loaded."""


@dataclass(frozen=True)
class Engine:
    """What cycles hang on of a machine, its memories apart.

    Parameters
    ----------
    lanes, groups, latency : int
        As of an engine's config.
    line_words : int
        Words of a line buffer; 0 where there is none.
    after : int
        Cycles from the end of the last word's post-processing to the end of a run.
    """

    lanes: int
    groups: int
    latency: int
    line_words: int
    after: int

    @classmethod
    def of(cls, architecture: Architecture) -> "Engine":
        """That of a machine."""
        config = architecture.engine_config
        line_words = getattr(config, "line_words", 0)
        return cls(
            config.lanes,
            config.groups,
            config.latency,
            line_words,
            architecture.post_latency,
        )

    def room(self, queue_words: np.ndarray) -> np.ndarray:
        """Finished words that wait before vectors do."""
        return queue_words - self.latency - 5


def engine_cycles(
    engine: Engine,
    work: Work,
    way: Way,
    passes: np.ndarray | float,
    groups: np.ndarray | float,
    rows: np.ndarray,
    columns: np.ndarray,
    accumulators: np.ndarray,
    queue_words: np.ndarray,
) -> np.ndarray:
    """Cycles of the runs that make a tile of a convolution's output; infinite where it cannot be.

    Parameters
    ----------
    engine : Engine
    work : Work
    way : Way
    passes : float
        Mean over the groups.
    groups : int
        Groups of ``way.split`` blocks.
    rows, columns : int
        Of the tile's map.
    accumulators, queue_words : int
        Of the machine.

    All arrays are of shapes that fit together.
    """
    line = -(-columns // way.pixels)
    if work.flat and not way.lines:
        # A part may end in the middle of a row.
        rows, line = -(-rows * columns // way.pixels), np.ones_like(line)
    repeats = way.steps if way.kept else 1
    limit = LARGEST_COUNT // repeats
    rounds = passes * way.parts * way.steps
    most = np.where(rounds > 1, np.minimum(limit, accumulators), limit)
    # Rows longer than the accumulators are cut; else a part has whole rows.
    cuts = -(-line // most)
    words = line / cuts
    highest = np.minimum(rows, np.maximum(most // np.maximum(line, 1), 1))
    load = engine.lanes * way.split
    # Small parts leave little behind the last; smaller than a load they wait for weights.
    enough = np.minimum(-(-(load + SWAP) // np.maximum(line * repeats, 1)), highest)
    # What the queue takes in while post-processing works through it.
    members = way.split * way.pixels
    held = engine.room(queue_words) * members // max(members - 1, 1)
    calm = np.minimum(np.maximum(held // np.maximum(line, 1), 1), highest)
    total = np.minimum.reduce(
        [
            runs_cycles(engine, way, load, passes, groups, rows, high, words, cuts, queue_words)
            for high in (highest, enough, calm)
        ]
    )
    if way.lines:
        row = columns + way.skip_columns
        total = np.where((row > engine.line_words) | (row < 2), np.inf, total)
    return total


def runs_cycles(
    engine: Engine,
    way: Way,
    load: int,
    passes: np.ndarray | float,
    groups: np.ndarray | float,
    rows: np.ndarray,
    high: np.ndarray,
    words: np.ndarray,
    cuts: np.ndarray,
    queue_words: np.ndarray,
) -> np.ndarray:
    """The same for parts of at most ``high`` rows of ``words`` words of sums, cut ``cuts`` times.

    Words of sums of all parts finish one after another, each ``members`` cycles behind the one
    before at the earliest; the last one's time follows from the first part's or the last's.
    """
    parts = -(-rows // high)
    high = rows / parts
    members = way.split * way.pixels
    positions = high * words
    repeats = way.steps if way.kept else 1
    across = words + way.skip_columns
    vectors = (high + way.skip_rows) * across * repeats
    lead = way.skip_rows * across + way.skip_columns if way.lines else vectors - positions
    tiles = passes * way.tiles
    tile = np.maximum(vectors, load + SWAP)
    drain = members * positions
    full = np.maximum(tile, drain - members * engine.room(queue_words))
    finished = FIRST_WEIGHT + max(load, way.ready) + (tiles - 1) * tile + lead
    finished = finished + engine.latency + QUEUE
    count = parts * cuts * groups
    last = finished + (count - 1) * ((tiles - 1) * tile + full)
    return (
        np.maximum(finished + count * drain, last + np.maximum(drain, vectors - lead))
        + engine.after
    )


def bypass_cycles(
    engine: Engine, work: Work, rows: np.ndarray, columns: np.ndarray, blocks: np.ndarray
) -> np.ndarray:
    """Cycles of the runs past the engine that make a tile of a layer's output."""
    groups = engine.groups
    words = rows * np.minimum(-(-columns // groups) * blocks, columns * -(-blocks // groups))
    first = FIRST_BYPASS + work.copies - 1 + QUEUE
    return first + np.maximum(words * groups, (words - 1) * work.copies + groups) + engine.after
