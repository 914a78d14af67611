"""Options of ``nomul quantize`` for widths, calibration and rounding."""

import json

import pytest

from quant.quantized import QuantizedGraph
from quant.widths import layer_width
from tests.nomul.conftest import nomul

SHAPE = ("--input-shape", "3,6,6")


def quantized(files, tmp_path, *options) -> tuple[QuantizedGraph, dict, str]:
    """The graph, the figures and the text of a run."""
    output, figures = tmp_path / "made.qgraph", tmp_path / "figures.json"
    images = ("--images", files.images, "-o", output, "--json", figures)
    result = nomul("quantize", files.network, *SHAPE, *images, *options)
    assert result.exit_code == 0, result.stderr
    return QuantizedGraph.load(output), json.loads(figures.read_text()), result.stdout


@pytest.mark.parametrize("width", [8, 16, 32])
def test_a_network_of_one_width(files, tmp_path, width):
    options = ("--scheme", f"int{width}", "--calibration", "kl", "--radix", "mse")
    graph, figures, text = quantized(files, tmp_path, *options)
    assert {layer_width(graph, layer) for layer in graph.layers} == {width}
    assert [row["width"] for row in figures["layers"]] == [width] * len(graph.layers)
    assert figures["sqnr"] > 4 * width
    share = {8: "50.0%", 16: "100.0%", 32: "200.0%"}[width]
    assert f"{share} of 16 bits" in text and figures[f"layers.w{width}"] == len(graph.layers)


def test_stochastic_rounding_by_seed(files, tmp_path):
    common = ("--scheme", "int8", "--rounding", "stochastic")
    graphs = [
        quantized(files, tmp_path, *common, *seed)[0] for seed in ((), ("--seed", 1), ("--seed", 2))
    ]
    seeds = [[layer.seed for layer in graph.layers if layer.rounds] for graph in graphs]
    assert seeds[0] == seeds[1] != seeds[2] and min(min(row) for row in seeds) > 0


def test_equalized_tensors_of_the_same_network(files, tmp_path):
    common = ("--scheme", "int8", "--radix", "mse")
    plain, before, _ = quantized(files, tmp_path, *common)
    scaled, after, _ = quantized(files, tmp_path, *common, "--equalize")
    assert [layer.name for layer in scaled.layers] == [layer.name for layer in plain.layers]
    assert scaled.format_of(scaled.input) == plain.format_of(plain.input)
    assert scaled.layers[0].weight.tolist() != plain.layers[0].weight.tolist()
    # Rows are compared with the scaled network's, so all are near.
    assert min(row["sqnr"] for row in after["layers"]) > 20
    assert after["sqnr"] > before["sqnr"] - 1


def test_widths_of_a_file(files, tmp_path):
    widths = tmp_path / "widths.json"
    widths.write_text('{"x": 16, "linear.weight": 32}')
    plain, _, _ = quantized(files, tmp_path, "--scheme", "int8")
    last = plain.layers[-1].name
    widths.write_text(json.dumps({plain.input: 16, f"{last}.weight": 32}))
    graph, figures, text = quantized(files, tmp_path, "--scheme", "int8", "--widths", widths)
    assert graph.scheme == "int8+mixed" == figures["scheme"]
    found = {layer.name: layer_width(graph, layer) for layer in graph.layers}
    assert found[graph.layers[0].name] == 16 and found[last] == 32
    assert set(list(found.values())[1:-1]) == {8}
    assert "1 at 16, 1 at 32 bits" in text


def test_widths_by_error(files, tmp_path):
    common = ("--scheme", "int8", "--calibration", "kl", "--widths", "auto")
    rough, few, _ = quantized(files, tmp_path, *common, "--error", 0.5)
    fine, many, _ = quantized(files, tmp_path, *common, "--error", 1e-6)
    assert few["layers.w16"] == 0 and many["layers.w16"] == len(fine.layers)
    assert many["sqnr"] > few["sqnr"] + 6
    assert rough.scheme == fine.scheme


def test_a_plot_of_every_tensor(files, tmp_path):
    picture = tmp_path / "plot.svg"
    graph, _, _ = quantized(files, tmp_path, "--scheme", "int8", "--plot", picture)
    text = picture.read_text()
    for name in (graph.input, *(layer.name for layer in graph.layers)):
        assert f"<!-- {name}: 8 bits, step" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seed", 3), "--seed has no effect on --rounding even"),
        (("--error", 0.1), "--error is for --widths auto"),
        (("--scheme", "int16", "--widths", "auto"), "take --scheme int8"),
        (("--report", "int8", "--radix", "kl"), "leave out --radix, --equalize, --widths"),
        (("--report", "int8", "--equalize"), "leave out --radix, --equalize, --widths"),
        (("--radix", "luck"), "luck"),
    ],
)
def test_options_without_effect_are_wrong_usage(files, options, words):
    result = nomul("quantize", files.network, *SHAPE, "--images", files.images, *options)
    assert result.exit_code == 2 and words in result.stderr


def test_a_tensor_that_is_not_there(files, tmp_path):
    widths = tmp_path / "widths.json"
    widths.write_text('{"stm": 16}')
    options = ("--widths", widths, "--scheme", "int8")
    result = nomul("quantize", files.network, *SHAPE, "--images", files.images, *options)
    assert result.exit_code == 1
    assert "no tensor stm can have a width of its own; such are" in result.stderr
