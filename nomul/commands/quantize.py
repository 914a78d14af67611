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
from nomul.widths import read_widths, size_figures, size_text
from quant.quantized import ROUNDINGS
from quant.radix import SEARCHES
from quant.schemes import find_scheme

__all__ = ["command"]

AUTO = "auto"
ERROR = 0.014


@click.command("quantize", cls=Verb)
@click.argument("source")
@network_options
@click.option(
    "--scheme",
    default="log4",
    show_default=True,
    help="How weights become integers: int8, int16, log5, log4, w4r, ... (docs/quantizers.md).",
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
    help="How activation scales are chosen: mse, min-max, percentile or kl.",
)
@click.option(
    "--radix",
    type=click.Choice(list(SEARCHES)),
    help="Then search each tensor's radix point by this.  [default: none]",
)
@click.option(
    "--equalize",
    is_flag=True,
    help="First scale tensors to fill their codes; the network computes the same.",
)
@click.option(
    "--widths",
    metavar="FILE|auto",
    help='Widths of single tensors, as {"stem": 16, "stem.weight": 8}, or 16 bits where int8 errs '
    "most (docs/multiwidth.md).",
)
@click.option(
    "--error",
    type=float,
    help="Relative error of the outputs that --widths auto leaves activations.  [default: 0.014]",
)
@click.option(
    "--rounding",
    type=click.Choice(ROUNDINGS),
    default=ROUNDINGS[0],
    show_default=True,
    help="How layers round their outputs.",
)
@click.option("--seed", type=click.IntRange(0), help="Of stochastic rounding.  [default: 1]")
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
    radix: str | None,
    equalize: bool,
    widths: str | None,
    error: float | None,
    rounding: str,
    seed: int | None,
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
    from quant.calibrate import find_method, observe
    from quant.dynamic import choose_widths
    from quant.equalize import equalize as equalized
    from quant.quantize import quantize

    if report is not None and (output or plot):
        raise click.UsageError("--report writes no graph: leave out --output and --plot")
    if report is not None and (radix or equalize or widths or rounding != ROUNDINGS[0]):
        raise click.UsageError(
            "--report compares schemes: leave out --radix, --equalize, --widths, --rounding"
        )
    if seed is not None and rounding == "even":
        raise click.UsageError("--seed has no effect on --rounding even: leave it out")
    if error is not None and widths != AUTO:
        raise click.UsageError("--error is for --widths auto: leave it out")
    if widths == AUTO and scheme != "int8":
        raise click.UsageError("--widths auto chooses 8 or 16 bits: take --scheme int8")
    find_scheme(scheme)
    find_method(calibration)
    chosen = read_widths(Path(widths)) if widths and widths != AUTO else None
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
        observed = observe(graph, batch.x, progress)
        if equalize:
            graph = equalized(graph, observed, find_scheme(scheme))
            observed = observe(graph, batch.x, progress)
        if widths == AUTO:
            limit = ERROR if error is None else error
            chosen = choose_widths(graph, observed, limit, calibration, progress)
        qgraph = quantize(
            graph,
            observed,
            scheme=scheme,
            calibration=calibration,
            bias_correction=bias_correction,
            progress=progress,
            radix=radix,
            widths=chosen,
            rounding=rounding,
            seed=1 if seed is None else seed,
        )
    with stage("Compare with the float network"):
        rows = quantized_rows(graph, qgraph, batch.x[:32])
    table(
        f"{graph.name}: {qgraph.scheme}",
        ["layer", "kind", "output", "weights", "bits", "terms", "width", "step", "SQNR dB"],
        [
            [
                row.name,
                row.kind,
                row.shape,
                row.weights,
                row.weight_bits,
                row.terms,
                row.width,
                f"2^{-row.fraction}",
                row.sqnr,
            ]
            for row in rows
        ],
        left=2,
    )
    console.print(size_text(qgraph), soft_wrap=True)
    output = output or Path(f"{graph.name}.{qgraph.scheme}.qgraph")
    qgraph.save(output)
    console.print(f"Quantized graph: {output}", soft_wrap=True)
    if plot:
        from nomul.plots import plot_quantization

        plot_quantization(plot, graph, qgraph, rows, observed.histograms)
        console.print(f"Picture: {plot}", soft_wrap=True)
    return {
        "file": str(output),
        "scheme": qgraph.scheme,
        **size_figures(qgraph),
        "layers": [row.to_dict() for row in rows],
        "sqnr": rows[-1].sqnr,
    }
