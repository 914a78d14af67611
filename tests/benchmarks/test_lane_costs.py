import json

import pytest

from benchmarks.lane_costs import CASES, COUNTED, RESULTS, lane_cost, pair_cost, show
from rtl.columns.plan import PLANS

KEPT = json.loads(RESULTS.read_text())


def test_kept_results_are_complete(capsys):
    assert set(KEPT) == {f"{name}.a{bits}.{kind}" for name, bits, kind in CASES}
    assert len(CASES) == len(PLANS) * 2 * 4 - 2
    assert all(set(cost) == set(COUNTED) for cost in KEPT.values())
    show(KEPT)
    assert "w4r, 8 bits" in capsys.readouterr().out


@pytest.mark.parametrize(
    "key, lut, ff", [("w4r.a8.xc7", 19.6, 40), ("w4.a8.xc7", 22.1, 42), ("w3.a8.xc7", 14, 26)]
)
def test_kept_results_reach_the_study(key, lut, ff):
    assert KEPT[key]["lut"] <= lut
    assert KEPT[key]["ff"] <= ff
    assert KEPT[key]["dsp"] == 0
    # What no synthesis finds by itself.
    assert KEPT[key]["lut"] < 0.75 * KEPT[key.replace("xc7", "generic")]["lut"]


def test_a_column_now():
    """Small ones: 5 + 7 tables a lane for w4r, and the tree."""
    cost = lane_cost("w4r", 8, "xc7", 3)
    # 13 full adders, one more place, and the carry.
    assert cost["lut"] == pytest.approx((3 * 12 + 14) / 3, abs=0.01)
    assert cost["dsp"] == 0
    assert pair_cost("w3", 4, 4)["dsp"] == 0.5
