import dataclasses
import json

import pytest
from click.testing import CliRunner

from benchmarks.chain import CHAIN

ASKED = (
    "demo.accuracy.float",
    "demo.accuracy.reference",
    "demo.accuracy.rtl",
    "demo.verify.layers",
    "demo.verify.mismatches",
    "demo.cycles.predicted",
    "demo.cycles.rtl",
    "demo.synth.lut",
    "demo.synth.dsp",
    "demo.synth.bram",
    "demo.seconds",
    "resnet20.int8.loss",
    "resnet20.log4.loss",
    "resnet8.int8.loss",
    "resnet8.log4.loss",
    "layers.checked",
    "layers.mismatches",
    "cycles.predicted",
    "cycles.rtl",
    "rtl.seconds_per_image",
    "reference.images_per_second",
    "program.seconds_per_image",
    "resnet20.busy",
)
KEPT = CHAIN.kept()


def run(tmp_path, fresh, *arguments):
    short = dataclasses.replace(CHAIN, quick=(("Measure", lambda progress: fresh),))
    path = tmp_path / "chain.json"
    result = CliRunner().invoke(short.command(), ["--quick", "--json", str(path), *arguments])
    return result, json.loads(path.read_text())


def test_committed_results_reach_every_bar():
    assert set(ASKED) <= set(CHAIN.keys) == set(KEPT)
    assert [figure.key for figure in CHAIN.figures if not figure.met(KEPT)] == []


def test_what_is_not_measured_is_marked(tmp_path):
    result, found = run(tmp_path, {"resnet20.busy": 0.8})
    assert result.exit_code == 0
    assert found["resnet20.busy"] == 0.8 and "resnet20.busy" not in found["not_measured"]
    assert set(found["not_measured"]) == set(CHAIN.keys) - {"resnet20.busy"}
    assert "not measured now" in result.stdout


def test_a_bar_that_is_not_reached_fails(tmp_path):
    result, found = run(tmp_path, {"resnet20.busy": 0.5})
    assert result.exit_code == 1 and "resnet20.busy (>= 0.75)" in result.stderr
    assert found["resnet20.busy"] == 0.5


@pytest.mark.parametrize("key", ["demo.cycles.rtl", "cycles.rtl", "demo.accuracy.rtl"])
def test_bars_that_compare_two_figures(key):
    figure = next(figure for figure in CHAIN.figures if figure.key == key)
    assert figure.met(KEPT) and not figure.met({**KEPT, key: KEPT[key] + 1})


def test_a_figure_that_was_never_measured_is_not_met():
    assert not CHAIN.figures[0].met({CHAIN.figures[0].key: None})
    assert CHAIN.figures[0].text(None) == "-"
