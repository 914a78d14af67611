import json

import numpy as np
import pytest

from quant.allocation.allocation import Allocation
from quant.quantized import QuantizedGraph
from tests.nomul.conftest import nomul

SMALL = ("--input-shape", "3,6,6", "--count", "8")


def allocate(files, folder, *options):
    result = nomul(
        "allocate", files.network, "--images", files.images, *SMALL, *options,
        "--json", folder / "found.json", "--output", folder / "mixed.qgraph",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result, json.loads((folder / "found.json").read_text())


def test_bits_and_picture(files, tmp_path):
    picture = tmp_path / "bits.png"
    result, figures = allocate(files, tmp_path, "--budget", "3.0bits", "--plot", picture)
    found = Allocation.load(tmp_path / "found.json")
    assert found.mean <= 3.0
    assert figures["allocation"]["mean_bits"] == pytest.approx(found.mean)
    assert set(found.bits) == {"stem", "block", "head"}
    assert "stem" in result.output and f"{found.bytes:,} bytes" in result.output
    assert picture.stat().st_size > 1000
    assert QuantizedGraph.load(tmp_path / "mixed.qgraph").scheme == f"mixed {found.mean:.2f}"
    assert set(figures["seconds"]) == {"sensitivity", "program"}


def test_cycles_on_a_machine(files, tmp_path):
    _, best = allocate(
        files, tmp_path, "--budget", "8.0bits", "--arch", "tiny", "--kind", "uniform"
    )
    budget = int(best["cycles"] * 0.7)
    _, figures = allocate(
        files, tmp_path, "--budget", f"{budget}cycles", "--arch", "tiny", "--kind", "uniform"
    )
    assert figures["cycles"] <= budget < best["cycles"]
    _, both = allocate(
        files, tmp_path, "--budget", "4.0bits", "--latency", budget, "--arch", "tiny",
        "--kind", "uniform",
    )  # fmt: skip
    assert both["cycles"] <= budget and both["allocation"]["mean_bits"] <= 4.0


def test_reuse_takes_the_same_widths(files, tmp_path):
    allocate(files, tmp_path, "--budget", "3.5bits", "--group", "0", "--activations", "6.0bits")
    kept = tmp_path / "kept.json"
    kept.write_bytes((tmp_path / "found.json").read_bytes())
    _, figures = allocate(files, tmp_path, "--reuse", kept)
    assert figures["allocation"] == json.loads(kept.read_text())["allocation"]
    found = Allocation.load(kept)
    assert all(np.ptp(bits) == 0 for bits in found.bits.values())
    qgraph = QuantizedGraph.load(tmp_path / "mixed.qgraph")
    assert {qgraph.format_of(name).bits for name in found.tensors} == set(found.tensors.values())


@pytest.mark.parametrize(
    "options, problem",
    [
        (("--budget", "3.0"), "'3.0' is no budget; write 3.0bits"),
        (("--budget", "1.5bits"), "1.5 bits are too few: with 2 bits all weights take 2"),
        (("--budget", "900cycles"), "name it with --arch"),
        ((), "give either --budget or --reuse"),
        (("--budget", "3bits", "--activations", "6kB"), "--activations is '6kB'; write 6.0bits"),
        (("--budget", "3bits", "--activations", "3bits"), "3 bits are too narrow; give 4 or more"),
        (("--reuse", "nowhere.json"), "nowhere.json does not exist; make it with: nomul allocate"),
    ],
)
def test_what_cannot_be(files, tmp_path, monkeypatch, options, problem):
    monkeypatch.chdir(tmp_path)
    result = nomul("allocate", files.network, "--images", files.images, *SMALL, *options)
    assert result.exit_code != 0
    assert problem in " ".join(result.output.split())
