import json

from benchmarks import hbp
from benchmarks.hbp import HBP
from benchmarks.xczu15eg import NETWORKS

ISSUE = {
    *("gain.bits3_0", "gain.bits2_5", "finetuned.loss", "search.seconds", "program.seconds"),
    *("resnet50.program.seconds", "configurations_per_second", "model.lut_error"),
    *("model.ff_error", "cycles.mismatches"),
    *(f"xczu15eg.{name}.latency_gain" for name in NETWORKS),
}


def test_all_figures_are_there():
    assert set(HBP.keys) >= ISSUE


def test_what_the_allocation_kept_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(hbp, "ALLOCATION", tmp_path / "allocation.json")
    assert "gain.bits3_0" not in hbp.kept()
    (tmp_path / "allocation.json").write_text(json.dumps({"gain.bits3_0": 2.5}))
    assert hbp.kept()["gain.bits3_0"] == 2.5
    assert hbp.kept()["xczu15eg.vgg16.latency_gain"] >= 0.25


def test_resources_and_one_network():
    assert hbp.resources(lambda *_: None)["model.inexact"] == 0
    found = hbp.study(("resnet18",))(lambda *_: None)
    assert found["xczu15eg.resnet18.latency_gain"] >= 0.25
