import json

import pytest

from rtl.architecture import Architecture
from tests.compiler.model.shapes import residual
from tests.nomul.conftest import nomul


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("explore") / "small.qgraph"
    residual().save(path)
    return path


def explored(network, tmp_path, *options):
    path = tmp_path / "found.json"
    result = nomul(
        *("explore", "--network", network, "--part", "xc7z010", "--engine", "conv5x5"),
        *("--workers", "1", "--json", path, *options),
    )
    assert result.exit_code == 0, result.stderr
    return json.loads(path.read_text()), result.stdout


def test_explore(network, tmp_path):
    plot = tmp_path / "front.png"
    found, text = explored(network, tmp_path, "--on-chip", "--plot", plot, "--rows", "3")
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "residual, own format, on xc7z010" in text and "better than all others" in text
    front = found["front"]
    assert found["best.cycles"] == front[0]["cycles"] == min(one["cycles"] for one in front)
    assert found["evaluated"] >= len(front) > 0 and len(found["exact"]) == min(3, len(front))
    assert all(one["lut"] <= 0.8 * 17_600 for one in front)
    for one in front[:2]:
        assert Architecture.from_dict(one["architecture"]).engine == "conv5x5"


def test_goals_and_widths(network, tmp_path):
    found, text = explored(network, tmp_path, "--goal", "lut", "--bits", "4")
    assert found["best.lut"] == min(one["lut"] for one in found["front"])
    assert found["precision"] == "4 bits" and "4 bits" in text
    more, _ = explored(network, tmp_path, "--bits", "8")
    fewest = [min(one["cycles"] for one in some["front"]) for some in (found, more)]
    assert fewest[0] < fewest[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bits", "none.json"), "none.json cannot be read"),
        (("--part", "xc7z999"), "no part xc7z999"),
        (("--network", "lenet"), "lenet is no network"),
    ],
)
def test_errors_are_one_line(network, tmp_path, options, message):
    given = {"--network": network, "--part": "xc7z010", **dict([options])}
    result = nomul("explore", *(part for pair in given.items() for part in pair))
    assert result.exit_code == 1 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
