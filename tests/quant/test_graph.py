import json
import zipfile

import numpy as np
import pytest

from quant.errors import NoMulError
from quant.graph import Clip, Conv, Graph, Window


def network():
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    conv = Conv("conv", ("x",), (4, 4, 4), weight, np.ones(4, np.float32), Window((3, 3)))
    return Graph("small", "x", (3, 6, 6), (conv, Clip("y", ("conv",), (4, 4, 4), 0.0, np.inf)), "y")


def rewrite(path, change):
    """The file with another header."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["header.json"] = json.dumps(change(json.loads(members["header.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_saved_graph_comes_back(tmp_path):
    graph = network()
    graph.save(tmp_path / "a.graph")
    found = Graph.load(tmp_path / "a.graph")
    assert (found.name, found.input, found.output) == ("small", "x", "y")
    assert found.layers[1] == graph.layers[1]
    assert found.layers[0].window == Window((3, 3)) and found.shape_of("conv") == (4, 4, 4)
    np.testing.assert_array_equal(found.layers[0].weight, graph.layers[0].weight)


def without(*keys):
    return lambda header: {key: value for key, value in header.items() if key not in keys}


def with_layer(**values):
    def change(header):
        header["layers"][0] |= values
        return header

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda header: [header],
        without("layers"),
        without("output"),
        with_layer(kind="Sine"),
        with_layer(window=3),
        with_layer(inputs=["nothing"]),
        lambda header: {**header, "version": 2},
        lambda header: {**header, "nomul": "program"},
    ],
)
def test_a_header_that_is_wrong_is_named(tmp_path, change):
    path = tmp_path / "a.graph"
    network().save(path)
    rewrite(path, change)
    with pytest.raises(NoMulError, match=r"a\.graph .*(write it again|name a graph file)$"):
        Graph.load(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = tmp_path / "a.graph"
    network().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(NoMulError, match=r"a\.graph is no readable graph file"):
        Graph.load(path)


def test_layers_stand_in_the_order_of_their_data():
    graph = network()
    with pytest.raises(ValueError, match="which nothing before it makes"):
        Graph("small", "x", (3, 6, 6), graph.layers[::-1], "y")
    with pytest.raises(ValueError, match="no layer makes the output z"):
        Graph("small", "x", (3, 6, 6), graph.layers, "z")
