"""Files of widths, and what is said of a network's size."""

import json

import pytest

from nomul.widths import read_widths, size_figures, size_text
from quant.errors import NoMulError
from quant.quantized import QConv, QuantizedGraph


def test_widths_are_an_object_by_tensor(tmp_path):
    path = tmp_path / "widths.json"
    path.write_text(json.dumps({"stem": 16, "stem.weight": 8}))
    assert read_widths(path) == {"stem": 16, "stem.weight": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "widths.json does not exist; check the path"),
        ("{", r"widths.json is no readable JSON file \(.*\); write widths as {\"stem\": 16"),
        ("[8]", "widths.json holds no object; write widths as"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "widths.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoMulError, match=message):
        read_widths(path)


def test_sizes_against_other_widths(files):
    qgraph = QuantizedGraph.load(files.qgraph)
    convs = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    numbers = sum(layer.weight.size + layer.bias.size for layer in convs)
    found = size_figures(qgraph)
    assert found["bytes"] == numbers
    assert (found["layers.w8"], found["layers.w16"]) == (len(qgraph.layers), 0)
    text = size_text(qgraph)
    assert f"{numbers:,} bytes, 50.0% of 16 bits, 25.0% of 32" in text
    assert f"{len(qgraph.layers)} at 8, 0 at 16, 0 at 32 bits" in text
