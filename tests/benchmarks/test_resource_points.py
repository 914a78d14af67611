import json

from benchmarks import resource_points
from benchmarks.resource_points import FEWEST, MOST, add_point, drawn, load_points, use_of
from boards.resources import Resources


def test_a_number_is_always_the_same_machine():
    for number in range(30):
        architecture, family = drawn(number)
        assert drawn(number) == (architecture, family)
        assert FEWEST <= architecture.macs_per_cycle <= MOST


def test_kept_machines_are_those_that_are_drawn():
    by_name = {point["machine"]["name"]: point for point in load_points()}
    kept = [number for number in range(60) if f"drawn-{number}" in by_name]
    assert len(kept) >= 20
    for number in kept:
        point, (architecture, family) = by_name[f"drawn-{number}"], drawn(number)
        assert point["machine"] == architecture.to_dict()
        assert point["family"] == family and point["use"] == use_of(number)


def test_a_machine_is_synthesized_once(tmp_path, monkeypatch):
    calls = []

    class Report:
        def grouped(self):
            return {"": Resources(lut=3), "post": Resources(ff=2, bram=0.5)}

    def synthesize(design, part, progress):
        calls.append(part.name)
        return Report()

    monkeypatch.setattr(resource_points, "synthesize", synthesize)
    monkeypatch.setattr(resource_points, "RESULTS", tmp_path / "points.json")
    for _ in range(2):
        add_point(*drawn(4), "fit", lambda *_: None)
    assert calls == ["xczu15eg"]
    (point,) = json.loads((tmp_path / "points.json").read_text())
    assert point["blocks"]["top"]["lut"] == 3 and point["blocks"]["post"]["bram"] == 0.5
