"""``nomul run``: a network on images, by reference, program simulator or RTL."""

import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from compiler.program import KIND as PROGRAM
from compiler.program import Program
from nomul.engines import ENGINES
from nomul.images import Images, accuracy
from nomul.options import image_options, images_of
from nomul.output import Stage, console, plural, stage, table, write_array
from nomul.programs import images_per_second
from nomul.sources import file_kind, load_quantized
from nomul.verb import OutputFile, Verb
from quant.errors import NoMulError
from quant.numbers import dequantize, quantize
from quant.quantized import QuantizedGraph
from quant.reference import predict

__all__ = ["command"]


@click.command("run", cls=Verb)
@click.argument("source")
@click.option(
    "--engine",
    type=click.Choice(["reference", *ENGINES]),
    help="By default reference for a quantized graph, program for a program.",
)
@click.option(
    "--arch", metavar="NAME|FILE", help="Refuse a program that was made for another machine."
)
@image_options(None)
@click.option(
    "--output",
    "-o",
    type=OutputFile(".npy"),
    help="Write what the network returns as a .npy file (count, outputs).",
)
def command(
    source: str,
    engine: str | None,
    arch: str | None,
    images: str,
    count: int | None,
    data: Path | None,
    preprocess: str | None,
    output: Path | None,
) -> dict[str, Any]:
    """Run a network on images.

    SOURCE is a quantized graph (engine reference) or a program (engines program and rtl). All
    engines return the same.
    """
    network = open_source(source, engine, arch)
    engine = engine or ("reference" if isinstance(network, QuantizedGraph) else "program")
    shape = network.input_shape if isinstance(network, QuantizedGraph) else network.input.shape
    batch = images_of(shape, images, count, data, preprocess)
    with stage(f"Run {plural(len(batch), 'image')} on {engine}") as progress:
        begin = time.monotonic()
        values, cycles = results(network, engine, batch, progress)
        seconds = time.monotonic() - begin
    if output:
        write_array(output, values)
    figures: dict[str, Any] = {"engine": engine, "images": len(batch), "seconds": seconds}
    if batch.labels is not None:
        figures["accuracy"] = accuracy(values, batch)
    if isinstance(network, Program):
        figures |= {
            "cycles.predicted": network.cycles,
            f"cycles.{engine}": cycles,
            "images_per_second": images_per_second(network),
        }
    table(
        f"{network.name} on {batch.source}",
        ["figure", "value"],
        [[name, value] for name, value in figures.items()],
    )
    if output:
        console.print(f"Outputs: {output}")
    return figures


def open_source(source: str, engine: str | None, arch: str | None) -> QuantizedGraph | Program:
    """The quantized graph or program of a file, where the engine can run it."""
    is_program = file_kind(source) == PROGRAM
    if is_program and engine == "reference":
        raise NoMulError(
            f"{source} is a program, which the reference cannot run; give it the quantized graph"
        )
    if is_program or engine in ENGINES:
        return Program.load(source, arch)
    if arch is not None:
        raise NoMulError(f"{source} is for no machine yet; leave --arch out, or nomul compile it")
    return load_quantized(source)


def results(
    network: QuantizedGraph | Program, engine: str, batch: Images, progress: Stage
) -> tuple[np.ndarray, int | None]:
    """What the network returns, float64 (count, outputs), and the cycles of an image."""
    if isinstance(network, QuantizedGraph):
        return predict(network, batch.x, progress=progress), None
    codes = quantize(batch.x, network.input.format)
    outputs, cycles = ENGINES[engine](network, codes, progress)
    return dequantize(outputs.reshape(len(outputs), -1), network.output.format.fraction), cycles
