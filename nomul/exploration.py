"""The best machines for a network on a part: the search, on all cores or on a cluster."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from boards.parts import Part
from compiler.model.external import External
from compiler.model.network import NetworkModel
from compiler.model.onchip import layer_cycles
from compiler.model.outline import outline, packed, unpacked
from compiler.model.search import Found, Limits, Task, evaluate, front
from compiler.model.space import machine
from nomul.output import Report
from nomul.sources import file_kind, load_graph
from quant.errors import NoMulError
from quant.imagenet_shapes import IMAGENET_SHAPES, imagenet_shape
from quant.quantized import QuantizedGraph
from rtl.architecture import Architecture

__all__ = [
    "EXTERNAL",
    "GOALS",
    "architecture_of",
    "best_first",
    "confirm",
    "copies",
    "explore",
    "limits_of",
    "network_outline",
]

# Ports of 8 and of 16 bytes, bursts of 16 words; the overhead leaves 70 % of the cycles.
EXTERNAL = {
    "xc7": External(2 * 8, 2 * 128, 16 * 3 / 7, 60),
    "xcup": External(4 * 16, 4 * 256, 16 * 3 / 7, 100),
}
"""External memory of a family's processing system as the fabric sees it, by all its ports."""
GOALS = ("latency", "throughput", "lut")
CHUNK = 4
"""Engines of a job."""


def network_outline(
    source: str, input_shape: tuple[int, ...] | None, models: Path | None, activation_bits: int
) -> QuantizedGraph:
    """The shapes of a network: one of :data:`IMAGENET_SHAPES`, a quantized graph's file, or any
    source of a float graph.

    Errors: :class:`NoMulError` as of the sources.
    """
    if source in IMAGENET_SHAPES:
        return outline(imagenet_shape(source), activation_bits)
    if file_kind(source) == QuantizedGraph.KIND:
        return unpacked(packed(QuantizedGraph.load(source)))
    return outline(load_graph(source, input_shape, models).graph, activation_bits)


def limits_of(part: Part, fill: float) -> Limits:
    """What machines may take: a share of the part's tables, and of all else what there is."""
    has = part.available
    return Limits(part.name, part.family, fill * has.lut, has.ff, has.dsp, has.bram)


def explore(
    task: Task,
    engines: list[dict[str, Any]],
    progress: Report,
    workers: int | None = None,
    cluster: str | None = None,
) -> tuple[list[Found], int]:
    """The front of all machines, and how many were evaluated.

    Parameters
    ----------
    task : Task
    engines : list of dict
    progress : Report
        Of engines.
    workers : int, optional
        Processes; all cores where it is not given.
    cluster : str, optional
        Address of a Dask scheduler, whose workers then do the work instead.

    Errors: :class:`NoMulError` where there is no such cluster, or no machine runs the network.
    """
    # Neighbours in the list are alike and take equally long: deal them out.
    count = -(-len(engines) // CHUNK)
    chunks = [engines[first::count] for first in range(count)]
    if cluster is not None:
        results = on_cluster(task, chunks, cluster)
    else:
        results = on_cores(task, chunks, workers or os.cpu_count() or 1)
    found: list[Found] = []
    evaluated = 0
    progress(0, len(chunks), f"{len(engines)} engines")
    for done, (some, number) in enumerate(results, 1):
        found = front([*found, *some])
        evaluated += number
        progress(done, len(chunks), f"{evaluated:,} machines")
    if not found:
        raise NoMulError(
            f"no machine for {task.graph.name} fits {task.limits.part}; take a larger part, allow "
            "an external memory, or use weights of fewer bits"
        )
    return found, evaluated


def on_cores(
    task: Task, chunks: list[list[dict]], workers: int
) -> Iterator[tuple[list[Found], int]]:
    if workers == 1:
        yield from (evaluate(task, chunk) for chunk in chunks)
        return
    # Forked processes would inherit threads of torch that hold locks.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(evaluate, task, chunk) for chunk in chunks]
        for job in as_completed(jobs):
            yield job.result()


def on_cluster(
    task: Task, chunks: list[list[dict]], address: str
) -> Iterator[tuple[list[Found], int]]:
    try:
        import distributed
    except ImportError:
        raise NoMulError(
            "--cluster needs Dask; install it with: pip install nomul[cluster]"
        ) from None
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError, TypeError) as error:
        raise NoMulError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}); start one with: "
            "dask scheduler"
        ) from None
    with client:
        shared = client.scatter(task, broadcast=True)
        jobs = [client.submit(evaluate, shared, chunk, pure=False) for chunk in chunks]
        for job in distributed.as_completed(jobs):
            yield job.result()


def best_first(found: list[Found], goal: str, limits: Limits) -> list[Found]:
    """Machines by a goal: latency; images a second of as many copies as the part holds, those
    with an external memory taking part in it alone; or tables, and latency where they are equal."""

    def rank(one: Found) -> tuple[float, float]:
        if goal == "lut":
            return one.lut, one.cycles
        if goal == "throughput":
            return one.cycles / copies(one, limits), one.lut
        return one.cycles, one.lut

    return sorted(found, key=rank)


def copies(one: Found, limits: Limits) -> int:
    """How many of a machine the part holds; one where it needs the external memory."""
    if not one.on_chip:
        return 1
    shares = [
        getattr(limits, name) // getattr(one, name)
        for name in ("lut", "ff", "dsp", "bram")
        if getattr(one, name)
    ]
    return max(1, int(min(shares)))


def architecture_of(one: Found, task: Task) -> Architecture:
    """The machine as the compiler takes it."""
    limits = task.limits
    made = machine(one.engine, limits.part, task.clock_mhz, task.activation_bits, **one.memory)
    assert made is not None  # it was made when it was evaluated
    return made


def confirm(one: Found, task: Task) -> int | None:
    """Exact cycles of a machine with the network on chip; None where the compiler has no exact
    answer: with an external memory, or with several widths in a layer."""
    if not one.on_chip:
        return None
    graph, architecture = unpacked(task.graph), architecture_of(one, task)
    model = NetworkModel(graph, task.precision)
    passes: dict[str, int] = {}
    for work in model.workload(architecture).works:
        segments = model.segments(work, architecture)
        if len(segments) > 1:
            return None
        passes[work.owner] = segments[0].passes
    return sum(layer_cycles(graph, architecture, passes).values()) + 1
