import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.program import Program
from nomul.oracle import recompute
from nomul.verification import Mismatch, Row, Verification, compare
from nomul.verify import verify
from quant.errors import NoMulError
from quant.graph import Window
from quant.quantized import QuantizedGraph
from rtl.isa import decode
from tests.external import small_machine
from tests.random_networks import NetworkBuilder


def silent(done, total, label):
    pass


@pytest.fixture
def chain(files):
    images = np.load(files.images)["x"][:2]
    return QuantizedGraph.load(files.qgraph), Program.load(files.program), images


def test_everything_agrees(chain):
    result = verify(*chain, silent)
    result.check()
    assert result.mismatches == 0 and len(result.outputs) == 2
    assert sum(row.rtl_cycles for row in result.rows) == result.rtl_cycles - 1


def test_a_damaged_weight_is_found_with_layer_and_position(chain):
    qgraph, program, images = chain
    weights = program.weights.copy()
    weights[0] ^= 0b0101
    result = verify(qgraph, dataclasses.replace(program, weights=weights), images, silent)
    assert result.rows[0].wrong["program"] == 2
    # The hardware does what the program says: it agrees with the program simulator.
    assert all(row.wrong["rtl"] == 0 for row in result.rows[:-1])
    with pytest.raises(
        NoMulError, match=r"program: layer relu differs at image 0, channel \d, row"
    ):
        result.check()


def test_a_wrong_reference_is_found(chain, monkeypatch):
    qgraph, program, images = chain
    wrong = dataclasses.replace(qgraph.layers[0], bias=qgraph.layers[0].bias + 512)
    monkeypatch.setattr(
        "nomul.verify.recompute",
        lambda layer, inputs: recompute(wrong if layer.name == wrong.name else layer, inputs),
    )
    result = verify(qgraph, program, images, silent)
    assert result.rows[0].wrong == {"quantized": 2, "program": 0, "rtl": 0}
    with pytest.raises(NoMulError, match="quantized: layer relu"):
        result.check()


def test_wrong_cycles_are_found(chain):
    qgraph, program, images = chain
    program = dataclasses.replace(program, cycles=program.cycles + 1)
    with pytest.raises(NoMulError, match=f"cycles: {program.cycles} predicted"):
        verify(qgraph, program, images, silent).check()


def test_import_error_is_a_problem():
    result = Verification([], 1, import_error=1e-3)
    assert result.problem().startswith("import: the graph's output differs")
    assert Verification([], 1, import_error=float("nan")).problem() is not None
    assert Verification([], 1, import_error=1e-6).problem() is None


def test_one_layer_with_wrong_cycles_is_a_problem():
    row = Row("conv1", "conv 3x3", "1x1x1", 9, predicted=10, rtl_cycles=12)
    assert "layer conv1 takes 12 on the RTL, expected 10" in Verification([row], 1).problem()
    assert Verification([row], 1).failures == 1 and Verification([row], 1).mismatches == 0


def test_compare_gives_the_first_difference():
    expected = np.zeros((2, 3, 3), int)
    found = expected.copy()
    found[1, 0, 2] = 7
    found[1, 2, 2] = 8
    assert list(compare("rtl", "conv", 4, expected, found)) == [
        Mismatch("rtl", "conv", (4, 1, 0, 2), 0, 7)
    ]
    assert list(compare("rtl", "conv", 4, expected, expected)) == []
    with pytest.raises(ValueError, match="shapes"):
        list(compare("rtl", "conv", 4, expected, found[:1]))


@pytest.fixture(scope="module")
def outside():
    """A network in tiles from external memory; its first layer is joined to the second."""
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), weight_bits=2)
    x = net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    x = net.max_pool(x, Window((2, 2), (2, 2)))
    net.conv(x, 12, Window((3, 3), padding=(1, 1, 1, 1)))
    graph = net.graph("outside")
    images = np.random.default_rng(3).normal(size=(2, 5, 6, 6)).astype(np.float32)
    return graph, compile(graph, small_machine(feature_words=64, instruction_words=64)), images


def test_with_external_memory(outside):
    result = verify(*outside, silent)
    result.check()
    assert not result.exact and result.mismatches == 0 and len(result.outputs) == 2
    assert [row.kept for row in result.rows] == [layer.kept for layer in outside[1].layers]
    # The last layer ends with its last transfers, two instructions before the program.
    assert 0 < result.rtl_cycles - sum(row.rtl_cycles for row in result.rows) < 10
    assert result.rtl_cycles == pytest.approx(result.predicted, rel=0.05)


def test_with_sums_that_go_on_from_run_to_run(outside):
    """On the machine of the other network, of a layer with more weights than it holds."""
    net = NetworkBuilder((35, 3, 3), np.random.default_rng(2), weight_bits=8)
    net.conv("input", 20, Window((3, 3)))
    net.layers[0].weight[:, 0] = 85
    graph = net.graph("wide")
    program = compile(graph, outside[1].architecture)
    words = [decode(word) for word in program.instructions.tolist()]
    assert any(word.fields.get("continues") for word in words)
    images = np.random.default_rng(3).normal(size=(1, 35, 3, 3)).astype(np.float32)
    result = verify(graph, program, images, silent)
    result.check()
    assert result.mismatches == 0
    # Weight words of one beat: both channels together could bring more than the memory takes.
    assert result.rtl_cycles == pytest.approx(result.predicted, rel=0.03)


def test_a_damaged_weight_in_external_memory(outside):
    qgraph, program, images = outside
    held = program.external.copy()
    held[0] ^= 0b0101
    result = verify(qgraph, dataclasses.replace(program, external=held), images, silent)
    assert any(row.wrong["program"] for row in result.rows)
    assert all(row.wrong["rtl"] == 0 for row in result.rows[:-1])
