"""The gate on speed, and the figures that are committed for it."""

import copy
import json

import pytest
from click.testing import CliRunner

from benchmarks import ecp5
from benchmarks.ecp5 import ARRAYS, MARGIN, SEEDS, fallen
from boards.ecp5 import DEVICE, Routed
from rtl import engines

KEPT = json.loads(ecp5.RESULTS.read_text())


def slower(share):
    found = copy.deepcopy(KEPT)
    found["arrays"]["16 columns"]["median_mhz"] *= 1 - share
    return found


def test_what_is_kept():
    assert KEPT["device"] == DEVICE
    assert set(KEPT["arrays"]) == set(ARRAYS)
    for name, array in KEPT["arrays"].items():
        assert array["config"] == ARRAYS[name]
        assert array["seeds"] == list(SEEDS) and len(array["mhz"]) == len(SEEDS)
        assert array["median_mhz"] == sorted(array["mhz"])[1] > 100
        assert array["dsp"] == 0


def test_the_arrays_are_of_the_engine():
    for config in ARRAYS.values():
        made = engines.find(ecp5.ENGINE).Config(**config)
        assert made.lanes * made.vector_words == 16


def test_the_gate():
    assert fallen(KEPT, KEPT) == []
    assert fallen(slower(MARGIN - 0.01), KEPT) == []
    (said,) = fallen(slower(MARGIN + 0.01), KEPT)
    assert said.startswith("16 columns ") and "at least" in said


@pytest.mark.parametrize(("share", "status"), [(0, 0), (0.2, 1)])
def test_the_command(monkeypatch, tmp_path, share, status):
    speeds = {
        tuple(array["config"].items()): [mhz * (1 - share) for mhz in array["mhz"]]
        for array in KEPT["arrays"].values()
    }

    def route(design, seed, progress):
        (config,) = design.arguments
        known = {**config.to_dict(), "activation_bits": config.activation_bits}
        order = {frozenset(key): value for key, value in speeds.items()}
        return Routed(order[frozenset(known.items())][seed - 1], 1, 2, 0, 0)

    monkeypatch.setattr(ecp5, "route", route)
    monkeypatch.setattr(ecp5, "require_nextpnr", lambda: KEPT["nextpnr"])
    path = tmp_path / "ecp5.json"
    result = CliRunner().invoke(ecp5.main, ["--json", str(path)])
    assert result.exit_code == status
    found = json.loads(path.read_text())
    assert found["arrays"]["4 columns"]["comb"] == 1
    assert ("slower than before" in result.stderr) == bool(status)
