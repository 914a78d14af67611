"""``nomul verify``: every stage of the chain against the one before it."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from compiler.compile import compile as compile_graph
from compiler.program import KIND as PROGRAM
from nomul.images import Images
from nomul.imported import import_error
from nomul.options import architecture_option, image_options, images_of, network_options
from nomul.output import plural, stage
from nomul.sources import file_kind, load_graph, load_quantized
from nomul.tables import verification_table
from nomul.verb import Unmet, Verb
from nomul.verify import verify
from quant.errors import NoMulError
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
    kind = file_kind(source)
    if kind == PROGRAM:
        raise NoMulError(
            f"{source} is a program; give the quantized graph that it was compiled from"
        )
    if kind == QuantizedGraph.KIND:
        refuse_options(source, "scheme", "calibration_count", "input_shape")
        qgraph = load_quantized(source)
        batch = images_of(qgraph.input_shape, images, count, data, preprocess)
    else:
        with stage(f"Import {source}"):
            imported = load_graph(source, input_shape, models)
        graph, known = imported.graph, imported.preprocessing
        shape = graph.input_shape
        batch = images_of(shape, images, count, data, preprocess, known)
        if imported.network is not None:
            with stage("Compare the graph with the network"):
                network = imported.network
                error = import_error(network.model, graph, batch.x[:8], network.input_shape)
        sample = images_of(shape, images, calibration_count, data, preprocess, known, train=True)
        with stage(f"Quantize to {scheme} with {plural(len(sample), 'image')}") as progress:
            qgraph = quantize(graph, sample.x, scheme=scheme, progress=progress)
    return check(qgraph, architecture, batch, error)


def refuse_options(source: str, *names: str) -> None:
    """Errors: :class:`NoMulError` for an option that was given and would have no effect."""
    ctx = click.get_current_context()
    for name in names:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise NoMulError(f"{source} is quantized already; leave out {option}")


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
