"""``nomul quantize``: a trained network to integers."""

from pathlib import Path
from typing import Any

import click

from nomul.comparison import compare_schemes, comparison_table
from nomul.layers import quantized_rows
from nomul.options import (
    image_options,
    images_of,
    network_options,
    output_option,
    plot_option,
)
from nomul.output import console, plural, stage, table
from nomul.sources import load_graph
from nomul.verb import Verb
from quant.schemes import find_scheme

__all__ = ["command"]


@click.command("quantize", cls=Verb)
@click.argument("source")
@network_options
@click.option(
    "--scheme",
    default="log4",
    show_default=True,
    help="How weights become integers: int8, log5, log4, w4, w4r, w3, ... (docs/quantizers.md).",
)
@click.option(
    "--report",
    metavar="SCHEMES",
    help="Compare schemes, as log5,log4,w4r: SQNR and top-1 of every layer. Writes no graph.",
)
@click.option(
    "--report-images",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="How many test images --report measures on.",
)
@click.option(
    "--calibration",
    default="mse",
    show_default=True,
    help="How activation scales are chosen: mse, min-max or percentile.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=True,
    show_default=True,
    help="Whether biases make up for the mean error of the weights.",
)
@image_options(256)
@output_option
@plot_option
def command(
    source: str,
    input_shape,
    models: Path | None,
    scheme: str,
    report: str | None,
    report_images: int,
    calibration: str,
    bias_correction: bool,
    images: str,
    count: int | None,
    data: Path | None,
    preprocess: str | None,
    output: Path | None,
    plot: Path | None,
) -> dict[str, Any]:
    """Quantize a network to integers, without training.

    SOURCE is an .onnx file, a graph file, Python code that makes a torch module (file.py:function)
    or a pretrained network (resnet20, resnet20-original, resnet8). Of a data set the training
    images are used for calibration.
    """
    from quant.quantize import quantize

    if report is not None and (output or plot):
        raise click.UsageError("--report writes no graph: leave out --output and --plot")
    with stage(f"Import {source}"):
        imported = load_graph(source, input_shape, models)
    graph, known = imported.graph, imported.preprocessing
    batch = images_of(graph.input_shape, images, count, data, preprocess, known, train=True)
    if report is not None:
        schemes = list(dict.fromkeys(name.strip() for name in report.split(",")))
        for name in schemes:
            find_scheme(name)
        test = images_of(graph.input_shape, images, report_images, data, preprocess, known)
        with stage(f"Compare {plural(len(schemes), 'scheme')}") as progress:
            comparison = compare_schemes(
                graph, schemes, batch.x, test, calibration, bias_correction, progress
            )
        comparison_table(comparison)
        return comparison.to_dict()
    with stage(f"Quantize to {scheme} with {plural(len(batch), 'image')}") as progress:
        qgraph = quantize(
            graph,
            batch.x,
            scheme=scheme,
            calibration=calibration,
            bias_correction=bias_correction,
            progress=progress,
        )
    with stage("Compare with the float network"):
        rows = quantized_rows(graph, qgraph, batch.x[:32])
    table(
        f"{graph.name}: {scheme}",
        ["layer", "kind", "output", "weights", "bits", "terms", "step", "SQNR dB"],
        [
            [
                row.name,
                row.kind,
                row.shape,
                row.weights,
                row.weight_bits,
                row.terms,
                f"2^{-row.fraction}",
                row.sqnr,
            ]
            for row in rows
        ],
        left=2,
    )
    output = output or Path(f"{graph.name}.{scheme}.qgraph")
    qgraph.save(output)
    console.print(f"Quantized graph: {output}", soft_wrap=True)
    if plot:
        from nomul.plots import plot_quantization

        plot_quantization(plot, graph, qgraph, rows)
        console.print(f"Picture: {plot}", soft_wrap=True)
    return {
        "file": str(output),
        "scheme": scheme,
        "layers": [row.to_dict() for row in rows],
        "sqnr": rows[-1].sqnr,
    }
