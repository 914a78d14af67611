"""``nomul verify``: every stage of the chain against the one before it."""

from pathlib import Path
from typing import Any

import click

from compiler.compile import compile as compile_graph
from nomul.images import Images
from nomul.imported import import_error
from nomul.options import architecture_option, image_options, images_of, network_options
from nomul.output import plural, stage
from nomul.sources import file_kind, find_network, load_graph, load_quantized
from nomul.tables import verification_table
from nomul.verb import Unmet, Verb
from nomul.verify import verify
from quant.quantize import quantize
from quant.quantized import QuantizedGraph
from rtl.architecture import load_architecture

__all__ = ["command"]


@click.command("verify", cls=Verb)
@click.argument("source")
@network_options
@architecture_option
@click.option(
    "--scheme", default="log4", show_default=True, help="For a network: how weights are quantized."
)
@click.option(
    "--calibration-count",
    type=int,
    default=256,
    show_default=True,
    help="For a network: images that scales are chosen with.",
)
@image_options(1)
def command(
    source: str,
    input_shape,
    models: Path | None,
    arch: str,
    scheme: str,
    calibration_count: int,
    images: str,
    count: int | None,
    data: Path | None,
    preprocess: str | None,
) -> dict[str, Any]:
    """Check every layer of every stage of the chain against the stage before it.

    SOURCE is a quantized graph, a graph, or anything that nomul quantize takes, which is then
    quantized first.

    \b
    import     the float graph against the network (torch, ONNX), 1e-5
    quantized  the integer reference against torch in float64, bit for bit
    program    the program simulator against the reference, bit for bit
    rtl        the hardware against the program simulator, bit for bit
    cycles     of the hardware, from a layer to the next, as the compiler predicts
    """
    architecture = load_architecture(arch)
    error = None
    if file_kind(source) == QuantizedGraph.KIND:
        qgraph = load_quantized(source)
        batch = images_of(qgraph.input_shape, images, count, data, preprocess)
    else:
        with stage(f"Import {source}"):
            graph, known = load_graph(source, input_shape, models)
        shape = graph.input_shape
        batch = images_of(shape, images, count, data, preprocess, known)
        if file_kind(source) is None:
            with stage("Compare the graph with the network"):
                error = import_error(
                    find_network(source, input_shape, models).model, graph, batch.x[:8]
                )
        sample = images_of(shape, images, calibration_count, data, preprocess, known, train=True)
        with stage(f"Quantize to {scheme} with {plural(len(sample), 'image')}") as progress:
            qgraph = quantize(graph, sample.x, scheme=scheme, progress=progress)
    return check(qgraph, architecture, batch, error)


def check(qgraph: QuantizedGraph, architecture, batch: Images, error: float | None) -> dict:
    """Compile, verify, show the table; the figures."""
    with stage(f"Compile {qgraph.name} for {architecture.name}"):
        program = compile_graph(qgraph, architecture)
    with stage(f"Verify on {plural(len(batch), 'image')}") as progress:
        result = verify(qgraph, program, batch.x, progress, error)
    verification_table(result, f"{qgraph.name} ({qgraph.scheme}) on {architecture.name}")
    problem = result.problem()
    if problem is not None:
        raise Unmet(problem, result.to_dict())
    return result.to_dict()
