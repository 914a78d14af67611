"""Committed trained networks: their figures, and a sample of them measured again."""

import json
import os

import pytest

from benchmarks.nbq import BITS, NBQ, TRAINED, sample
from quant.training.trained import load_trained

needs_data = pytest.mark.skipif("NOMUL_DATA" not in os.environ, reason="NOMUL_DATA is not set")
KEPT = NBQ.kept()
NAMES = [
    *(f"{network}_{kind}" for network in BITS for kind in ("base", "float")),
    *(f"{network}_nbq{bits}" for network in BITS for bits in BITS[network]),
]


def test_committed_results_reach_every_bar():
    assert set(NBQ.keys) == set(KEPT)
    assert [figure.key for figure in NBQ.figures if not figure.met(KEPT)] == []


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_with_what_made_them(name):
    trained = load_trained(TRAINED / f"{name}.pt")
    record = json.loads((TRAINED / f"{name}.json").read_text())
    assert record["network"] == trained.name
    assert record["command"].startswith(f"nomul train --network {trained.name}")
    assert f"--out {name}.pt" in record["command"]
    assert len(record["epochs"]) == record["recipe"]["epochs"]
    assert record["recipe"]["seed"] == 0


def test_losses_compare_with_a_float_network_trained_no_shorter():
    for network, widths in BITS.items():
        recipes = {
            kind: json.loads((TRAINED / f"{network}_{kind}.json").read_text())["recipe"]
            for kind in ("float", *(f"nbq{bits}" for bits in widths))
        }
        assert all(recipes["float"]["epochs"] >= recipe["epochs"] for recipe in recipes.values())
        assert len({(recipe["schedule"], recipe["batch"]) for recipe in recipes.values()}) == 1


@needs_data
def test_a_sample_measured_again_is_as_it_was_kept():
    assert sample(lambda done, total, label: None) == {
        key: KEPT[key] for key in ("sample.nbq3", "sample.mismatches")
    }
