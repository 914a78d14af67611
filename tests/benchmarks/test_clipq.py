"""Committed networks with codebooks: their figures, and a sample of them measured again."""

import json
import os

import pytest
import torch

from benchmarks.clipq import BITS, CLIPQ, NETWORKS, sample, sizes, trained
from benchmarks.nbq import TRAINED
from quant.errors import NoMulError
from quant.networks import NETWORKS as TRAINABLE
from quant.training.methods.clipq import ClipQ, ClipQOptions
from quant.training.trained import Trained

needs_data = pytest.mark.skipif("NOMUL_DATA" not in os.environ, reason="NOMUL_DATA is not set")
KEPT = CLIPQ.kept()
ENDS = (".pt", ".json")


def test_committed_results_reach_their_bars():
    assert set(CLIPQ.keys) == set(KEPT)
    assert [figure.key for figure in CLIPQ.figures if not figure.met(KEPT)] == []


@pytest.mark.parametrize("kind", ["float", f"clipq{BITS}"])
@pytest.mark.parametrize("network", NETWORKS)
def test_weights_come_with_what_made_them(network, kind):
    assert trained(network, kind).name == network
    record = json.loads((TRAINED / f"{network}_{kind}.json").read_text())
    assert record["command"].startswith(f"nomul train --network {network}")
    assert f"--out {network}_{kind}.pt" in record["command"]
    assert len(record["epochs"]) == record["recipe"]["epochs"]
    named = [word for word in record["command"].split() if word.endswith(".pt")]
    assert all((TRAINED / word).with_suffix(end).is_file() for word in named for end in ENDS)


@needs_data
def test_a_sample_measured_again_is_as_it_was_kept():
    found = sample(lambda done, total, label: None)
    assert found == {key: KEPT[key] for key in found}


def test_bars_are_those_of_the_networks():
    bars = {figure.key: figure.bar for figure in CLIPQ.figures if figure.bar}
    assert bars["nin.float"] == ">= 84" and bars["nin.clipq.loss"] == "<= 0.3"
    assert bars["nin.zeros"] == ">= 0.2" and bars["resnet20.clipq.loss"] == "<= 1.5"


def test_sizes_of_a_network_with_codebooks():
    torch.manual_seed(0)
    model = TRAINABLE["lenet"].make().eval()
    with pytest.raises(NoMulError, match="the trained lenet has weights without a codebook; train"):
        sizes(Trained("lenet", model))
    method = ClipQ(ClipQOptions(bits=2))
    plain = method.finish(method.wrap(model, torch.empty(2, 1, 28, 28)))
    found = sizes(Trained("lenet", plain))
    assert 0.2 <= found["lenet.zeros"] < 0.2001
    assert found["lenet.bytes"] == 15_619 and found["lenet.compression"] > 15.7


def test_a_network_that_was_not_trained_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.clipq.TRAINED", tmp_path)
    with pytest.raises(NoMulError, match=r"trained has no nin_clipq2\.pt; train it first"):
        trained("nin", "clipq2")
