"""Evaluation of very many machines: what each takes of a part and of time, and which are best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compiler.model.external import External, Grid
from compiler.model.network import NetworkModel
from compiler.model.outline import unpacked
from compiler.model.precision import Precision
from compiler.model.resources import Estimate, estimate
from compiler.model.space import machine
from quant.errors import NoMulError
from quant.quantized import QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["DMA", "Found", "Limits", "Task", "evaluate", "front"]

DMA = Estimate(6000, 6000, 0, 4)
"""Allowed for transfers and control where there is an external memory: a budget, no measurement."""
LARGEST_PARAMETERS = 1 << 16
OBJECTIVES = ("cycles", "lut", "bram", "dsp")


@dataclass(frozen=True)
class Limits:
    """What of a part machines may take.

    Parameters
    ----------
    part, family : str
    lut, ff, dsp, bram : float
    """

    part: str
    family: str
    lut: float
    ff: float
    dsp: float
    bram: float


@dataclass(frozen=True)
class Task:
    """What a worker is sent beside the engines.

    Parameters
    ----------
    graph : QuantizedGraph
        An outline, packed.
    precision : Precision
    limits : Limits
    external : External, optional
    grid : Grid
    clock_mhz : float
    activation_bits : int
    """

    graph: QuantizedGraph
    precision: Precision
    limits: Limits
    external: External | None
    grid: Grid
    clock_mhz: float
    activation_bits: int


@dataclass(frozen=True)
class Found:
    """A machine and what it takes.

    Parameters
    ----------
    engine : dict
        Its ``[engine]`` table.
    memory : dict
        Words of its memories.
    cycles : float
        Of an image.
    on_chip : bool
        Whether the whole network is on chip.
    macs_per_cycle : int
    lut, ff, dsp, bram : float
    """

    engine: dict[str, Any]
    memory: dict[str, int]
    cycles: float
    on_chip: bool
    macs_per_cycle: int
    lut: float
    ff: float
    dsp: float
    bram: float


def evaluate(task: Task, engines: Sequence[dict[str, Any]]) -> tuple[list[Found], int]:
    """The front of all machines with these engines, and how many machines were evaluated.

    Engines that do not fit the part with the smallest memories, that no machine can have or that
    the network does not run on count as one each.
    """
    model = NetworkModel(unpacked(task.graph), task.precision)
    found: list[Found] = []
    count = 0
    for engine in engines:
        architecture = machine(engine, task.limits.part, task.clock_mhz, task.activation_bits)
        if architecture is None or not within(
            estimate(architecture, task.limits.family), task.limits
        ):
            count += 1
            continue
        try:
            some = on_grid(task, model, architecture, engine)
        except NoMulError:
            # The engine cannot do a layer, or not its weights.
            count += 1
            continue
        count += task.grid.shape[0] * task.grid.shape[1]
        found = front([*found, *some])
    return found, count


def within(used: Estimate, limits: Limits) -> bool:
    return all(
        getattr(used, name) <= getattr(limits, name) for name in ("lut", "ff", "dsp", "bram")
    )


def on_grid(
    task: Task, model: NetworkModel, architecture: Architecture, engine: dict[str, Any]
) -> list[Found]:
    """The front of an engine's machines."""
    grid, limits = task.grid, task.limits
    needs = model.needs(architecture)
    held = (grid.feature_words >= needs.feature_words) & (grid.weight_words >= needs.weight_words)
    parameters = parameter_words(needs.parameter_words)
    if parameters > LARGEST_PARAMETERS:
        return []
    used = grid_resources(task, architecture, parameters)
    if task.external is not None:
        for name, values in used.items():
            values += np.where(held, 0, getattr(DMA, name))
    fits = np.logical_and.reduce([used[name] <= getattr(limits, name) for name in used])
    if not fits.any():
        return []
    cycles = np.where(fits, model.cycles(architecture, grid, task.external), np.inf)
    places = np.argwhere(np.isfinite(cycles))
    costs = np.stack(
        [cycles[tuple(places.T)], *(used[name][tuple(places.T)] for name in OBJECTIVES[1:])], axis=1
    )
    result = []
    for q, s in places[undominated(costs)]:
        memory = {
            "feature_words": int(grid.feature_words[s]),
            "weight_words": int(grid.weight_words[s]),
            "parameter_words": parameters,
            "accumulator_words": int(grid.accumulators[q]),
            "queue_words": int(grid.queue_words[q]),
        }
        amounts = {name: float(values[q, s]) for name, values in used.items()}
        result.append(
            Found(
                engine,
                memory,
                float(cycles[q, s]),
                bool(held[s]),
                architecture.macs_per_cycle,
                **amounts,
            )
        )
    return result


def parameter_words(needed: int) -> int:
    """Words of the parameter memory: a power of two."""
    return max(64, 1 << (needed - 1).bit_length())


def grid_resources(
    task: Task, architecture: Architecture, parameters: int
) -> dict[str, np.ndarray]:
    """What each machine of the grid takes: ``[Q, S]``; infinite where there is no such machine.

    A machine's parts are added up, so those of accumulators and queue, and those of features and
    weights, are looked at one after the other.
    """
    grid = task.grid

    def taken(**memory: int) -> Estimate | None:
        words = replace(architecture.memory, parameter_words=parameters, **memory)
        try:
            return estimate(replace(architecture, memory=words), task.limits.family)
        except ValueError:
            return None

    least = taken()
    inner = [
        taken(accumulator_words=int(a), queue_words=int(q))
        for a, q in zip(grid.accumulators, grid.queue_words)
    ]
    outer = [
        taken(feature_words=int(f), weight_words=int(w))
        for f, w in zip(grid.feature_words, grid.weight_words)
    ]
    result = {}
    for name in ("lut", "ff", "dsp", "bram"):
        amounts = [
            np.array([np.inf if one is None else getattr(one, name) for one in some], float)
            for some in (inner, outer)
        ]
        shared = np.inf if least is None else -getattr(least, name)
        result[name] = amounts[0][:, None] + amounts[1] + shared
    return result


def front(found: Iterable[Found]) -> list[Found]:
    """The machines that none betters in cycles, tables, block RAM and DSP blocks at once."""
    some = list(found)
    if not some:
        return []
    costs = np.array([[getattr(one, name) for name in OBJECTIVES] for one in some])
    return [some[place] for place in undominated(costs)]


def undominated(costs: np.ndarray) -> np.ndarray:
    """Places of the rows that no other row is at most as large as in all columns.

    Of equal rows the first.

    >>> undominated(np.array([[1, 3], [2, 2], [2, 3], [1, 3]])).tolist()
    [0, 1]
    """
    order = np.lexsort(costs.T[::-1])
    kept: list[int] = []
    for place in order:
        if not kept or not (costs[kept] <= costs[place]).all(axis=1).any():
            kept.append(int(place))
    return np.array(sorted(kept), int)
