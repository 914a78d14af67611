"""Layers worked off in tiles from external memory: time in closed form, and the best tiles.

A tile is ``rows x columns`` positions of ``groups`` groups of output blocks, made of all their
inputs. While the engine works on one tile, its memories' other halves take the inputs, weights and
residuals of the next and give the outputs of the one before, all through one external memory.
Either order of the two loops is possible: weights that stay while the map passes, or a part of the
map that stays while the weights pass. Behind the last tile of a layer everything is written before
the first of the next layer is read. The weights of a tile whose sums fit the accumulators at once
are read once, in order; so they need not stand in the weight memory whole but may stream through
it.

Where the weights of a tile are too many, they may come in slices of its inputs: its sums then stay
in the accumulators from slice to slice, and all weights come anew for every part of the map.

What that leaves out is what a design of the DMA will add: commands, and arbitration beyond that of
a burst. A tensor stands in external memory as it does on chip, channels last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.mapping import LARGEST_COUNT, Way
from compiler.model.compute import Engine, bypass_cycles, engine_cycles
from compiler.model.work import Work

__all__ = ["External", "Grid", "Segment", "Tiled", "Widths", "demand", "tiled"]

HALVES = tuple(1 << n for n in range(9))
"""Into how many parts rows, and groups of blocks, are tried to be divided."""
QUARTERS = (1, 2, 4, 8)
"""The same for columns."""
MANY = (*range(1, 17), 24, 32, 48, 64, 96, 128, 256)
"""The same for all of them where it is one machine's tiles that are wanted."""


@dataclass(frozen=True)
class External:
    """An external memory as the machine sees it, in the machine's clock.

    Parameters
    ----------
    bytes_per_cycle : float
        While a burst lasts.
    burst_bytes : int
    burst_overhead : float
        Cycles that a burst costs besides its bytes.
    latency : int
        Cycles to the first byte.
    ahead : bool
        Whether all weights of a tile are on chip when it begins, those of a layer's first tile
        having come while the layer before it worked; as :mod:`compiler.tiling` has it. Else
        weights may stream through a part of their memory, and layers wait for each other. With it,
        too, only those rows and columns of a map come that windows see.
    """

    bytes_per_cycle: float
    burst_bytes: int
    burst_overhead: float
    latency: int
    ahead: bool = False

    def cycles(self, size: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """Cycles for ``size`` bytes that stand in so many runs of equal length."""
        bursts = runs * np.ceil(size / (np.maximum(runs, 1) * self.burst_bytes))
        return size / self.bytes_per_cycle + bursts * self.burst_overhead

    @property
    def efficiency(self) -> float:
        """Of long runs, the share of the cycles that move bytes."""
        moving = self.burst_bytes / self.bytes_per_cycle
        return moving / (moving + self.burst_overhead)


@dataclass(frozen=True)
class Widths:
    """Bytes of a word of features, of weights, and of a block's parameters."""

    feature: float
    weight: float
    parameter: float


@dataclass(frozen=True)
class Segment:
    """So many output channels whose weights take so many passes."""

    channels: int
    passes: int


@dataclass(frozen=True)
class Grid:
    """Memories of many machines that are alike besides: every pair with every pair.

    Parameters
    ----------
    accumulators, queue_words : int [Q]
    feature_words, weight_words : int [S]
    chunk_words : int [S], optional
        Words that the weights of a tile may take; else as many as there are.
    """

    accumulators: np.ndarray
    queue_words: np.ndarray
    feature_words: np.ndarray
    weight_words: np.ndarray
    chunk_words: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Q and S."""
        return len(self.accumulators), len(self.feature_words)


@dataclass(frozen=True)
class Tiled:
    """The best tiles of a layer, for each machine of a grid.

    Parameters
    ----------
    cycles : float [Q, S]
        Infinite where no tile fits.
    compute, transfer : float [Q, S]
        What engine and external memory each take by themselves.
    bytes : float [Q, S]
        Moved.
    rows, columns, groups, blocks : int [Q, S]
        Of a tile; its blocks are those of its groups.
    weights_stay : bool [Q, S]
        Whether the loop over the map is the inner one.
    chunk : float [Q, S]
        Words of weights of a tile, or of a slice of one.
    load : float [Q, S]
        Cycles in which they come.
    loads : int [Q, S]
        How often some do.
    slices : int [Q, S]
        Of a tile's inputs.
    """

    cycles: np.ndarray
    compute: np.ndarray
    transfer: np.ndarray
    bytes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray
    weights_stay: np.ndarray
    chunk: np.ndarray
    load: np.ndarray
    loads: np.ndarray
    slices: np.ndarray

    def or_faster(self, other: "Tiled") -> "Tiled":
        """Of each machine the tiles with fewer cycles."""
        faster = other.cycles < self.cycles
        return Tiled(
            **{
                name: np.where(faster, getattr(other, name), own)
                for name, own in vars(self).items()
            }
        )


def demand(work: Work, way: Way, segments: Sequence[Segment]) -> tuple[int, float]:
    """Groups of output blocks of a layer, and the mean passes of one.

    Each segment begins with a group of its own.
    """
    groups = [-(-segment.channels // (work.lanes * way.split)) for segment in segments]
    passes = sum(n * segment.passes for n, segment in zip(groups, segments))
    return sum(groups), passes / sum(groups)


def tiled(
    engine: Engine,
    work: Work,
    segments: Sequence[Segment],
    grid: Grid,
    widths: Widths,
    external: External,
    slices: int = 1,
) -> Tiled:
    """The best way, tiles and order for a layer on each machine of a grid.

    With ``slices`` the ways of ``work`` are those of one of so many slices of its inputs.
    """
    if external.ahead:
        work = work.sampled
    candidates = [
        candidate(engine, work, way, segments, grid, widths, external, slices)
        for way in (work.ways or (None,))
    ]
    joined = {
        name: np.concatenate([found[name] for found in candidates], axis=-1)
        for name in candidates[0]
    }
    fits = (joined["features"] <= grid.feature_words[:, None]) & (
        joined["weights"][:, None, :] <= grid.weight_words[:, None]
    )
    if slices > 1:
        fits = fits & (joined["sums"] <= grid.accumulators[:, None, None])
    if grid.chunk_words is not None:
        fits &= joined["chunk"] <= grid.chunk_words[:, None]
    choices = np.where(fits, joined["cycles"][:, None, :], np.inf)
    best = choices.argmin(axis=-1)
    queues = np.arange(grid.shape[0])[:, None]
    return Tiled(
        cycles=np.take_along_axis(choices, best[..., None], axis=-1)[..., 0],
        compute=joined["compute"][queues, best],
        transfer=joined["transfer"][best],
        bytes=joined["bytes"][best],
        rows=joined["rows"][best],
        columns=joined["columns"][best],
        groups=joined["groups"][best],
        blocks=joined["blocks"][best],
        weights_stay=joined["stay"][best],
        chunk=joined["chunk"][best],
        load=joined["load"][best],
        loads=joined["loads"][best],
        slices=np.full(best.shape, slices),
    )


def candidate(
    engine: Engine,
    work: Work,
    way: Way | None,
    segments: Sequence[Segment],
    grid: Grid,
    widths: Widths,
    external: External,
    slices: int,
) -> dict[str, np.ndarray]:
    """All tiles of one way: ``[Q, J]`` or ``[J]`` of every tile."""
    height, width, blocks = work.output
    split = 1 if way is None else way.split
    total, passes = (blocks, 0.0) if way is None else demand(work, way, segments)
    rows, columns, groups = tiles(height, width, total, external.ahead)
    downs, acrosses, counts = -(-height // rows), -(-width // columns), -(-total // groups)
    spots = downs * acrosses
    made = np.minimum(groups * split, blocks)

    if way is None:
        compute = bypass_cycles(engine, work, rows, columns, made)
        compute = np.broadcast_to(compute, (grid.shape[0], len(rows)))
        weights = np.zeros_like(rows)
        block, streams, words = 0, np.zeros_like(rows), np.zeros_like(rows)
    else:
        queue, accumulators = grid.queue_words[:, None], grid.accumulators[:, None]
        compute = slices * engine_cycles(
            engine, work, way, passes, groups, rows, columns, accumulators, queue
        )
        block = engine.lanes * split
        weights = groups * (block * passes * way.tiles)
        words = rows * -(-columns // way.pixels)
        streams = (words <= accumulators) & (words * way.steps <= LARGEST_COUNT)
        streams = streams & (not external.ahead)

    read = made if work.follows else work.input[2]
    window = work.window
    high = reach(rows, window.kernel[0], window.stride[0], window.dilation[0], work.input[0])
    wide = reach(columns, window.kernel[1], window.stride[1], window.dilation[1], work.input[1])
    inputs, outputs = high * wide * read, rows * columns * made
    # Tiles at an edge that are smaller may be mapped in another way, with weights in another order.
    orders = 1 + (external.ahead & (height % rows > 0)) + (external.ahead & (width % columns > 0))
    several = np.where(spots * counts > 1, 2, 1)
    # Inputs of a whole map that all groups read stay.
    held = several if work.follows else np.where(spots > 1, 2, 1)

    # Runs of neighbouring words: a whole map, whole rows, or the blocks of every position.
    apart = np.where(columns == width, np.where(rows == height, 1, 1), rows)
    input_runs = np.where(read == work.input[2], np.where(columns == width, 1, high), high * wide)
    output_runs = np.where(made == blocks, apart, rows * columns)
    fetch = external.cycles(inputs * widths.feature, input_runs)
    store = external.cycles(outputs * widths.feature, output_runs)
    fetch = fetch + (store if work.residual else 0)
    if external.ahead:
        # A tile's inputs come behind the outputs of another, and they behind inputs.
        fetch, store = fetch + external.latency, store + external.latency
    weight_bytes = weights * widths.weight + (0 if way is None else made * widths.parameter)
    load = external.cycles(weight_bytes, np.where(weight_bytes > 0, 1, 0))

    stay, passing = orders_of(compute, slices * load, fetch, store, counts * orders, spots / orders)
    ends = external.latency + fetch + store
    if external.ahead:
        early = np.maximum(compute, fetch + store) - np.maximum(compute, load + fetch + store)
        stay, passing = stay + early, passing + early
    else:
        ends = ends + load
    stored = outputs * widths.feature
    fetched = inputs * widths.feature + (stored if work.residual else 0)
    steps, whole = counts * spots, np.where(slices * counts * orders > 1, 2, 1) * weights
    alike = {
        "compute": compute * steps,
        "features": held * inputs + several * outputs * (2 if work.residual else 1),
        "rows": rows,
        "columns": columns,
        "groups": groups,
        "blocks": made,
        "chunk": weights,
        "load": load,
        "sums": groups * words,
    }
    loops = [
        {
            "cycles": np.maximum(cycles, loads * load + fetches * fetch + steps * store) + ends,
            "weights": np.broadcast_to(standing, compute.shape),
            "transfer": loads * load + fetches * fetch + steps * store,
            "bytes": loads * weight_bytes + fetches * fetched + steps * stored,
            "stay": np.full(len(rows), stays),
            "loads": loads,
        }
        for cycles, standing, loads, fetches, stays in (
            # Slices of one tile are in the place of another's weights.
            (stay + (np.inf if slices > 1 else 0), whole, counts * orders, steps, True),
            (passing, np.where(streams, 2 * block, whole), slices * steps, spots, False),
        )
    ]
    return {
        **{name: np.concatenate([values] * 2, axis=-1) for name, values in alike.items()},
        **{name: np.concatenate([loop[name] for loop in loops], axis=-1) for name in loops[0]},
    }


def orders_of(
    compute: np.ndarray,
    load: np.ndarray,
    fetch: np.ndarray,
    store: np.ndarray,
    counts: np.ndarray,
    spots: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Cycles of all steps with weights that stay, and with weights that pass.

    Engine and memory work side by side in each of ``counts * spots`` steps. One moves what the
    inner loop walks over; the first of an inner loop moves the other too.

    Parameters
    ----------
    compute, load, fetch, store : float
        Cycles of a tile, its weights, its inputs and residuals, and its outputs.
    counts, spots : int
        Groups of output blocks, and parts of the map, that are tiles.
    """
    everything = np.maximum(compute, load + fetch + store)
    stay = counts * (everything + (spots - 1) * np.maximum(compute, fetch + store))
    passing = spots * (everything + (counts - 1) * np.maximum(compute, load + store))
    return stay, passing


def tiles(
    height: int, width: int, groups: int, many: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and groups of all tiles that are tried: ``[J]`` each."""
    some = (MANY,) * 3 if many else (HALVES, QUARTERS, HALVES[::2])
    axes = [
        np.unique([-(-size // parts) for parts in divisors])
        for size, divisors in zip((height, width, groups), some)
    ]
    return tuple(axis.reshape(-1) for axis in np.meshgrid(*axes, indexing="ij"))  # type: ignore


def reach(outputs: np.ndarray, kernel: int, stride: int, dilation: int, size: int) -> np.ndarray:
    """Rows, or columns, of the input that so many of the output need."""
    return np.minimum((outputs - 1) * stride + dilation * (kernel - 1) + 1, size)
