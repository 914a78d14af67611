"""The figures of buses and external memory: keys, bars, and the parts of how they are measured."""

import json

import numpy as np
import pytest

from benchmarks import zynq
from benchmarks.zynq import FIGURES, PROOFS, ZYNQ, differing
from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.reference import run_reference
from tests.external import small_machine
from tests.random_networks import random_codes, random_network

ASKED = {
    "dma.lut",
    "machine.lut",
    "resnet18.seconds",
    "resnet18.busy",
    "resnet18.mismatches",
    "prediction.error",
    "corrupted.programs",
    "corrupted.hangs",
    "corrupted.escapes",
    "proofs",
    "ecp5.mhz",
}


def silent(done, total, label):
    pass


def test_all_figures_have_keys_once():
    assert set(ZYNQ.keys) >= ASKED and len(set(ZYNQ.keys)) == len(FIGURES)


def test_proofs_are_counted(monkeypatch):
    called = []
    monkeypatch.setattr(zynq, "PROOFS", (lambda: called.append(1),) * 3)
    assert zynq.proofs(silent) == {"proofs": 3, "proofs.asked": 3} and len(called) == 3
    assert len(PROOFS) == 11 and all(map(callable, PROOFS))


@pytest.fixture(scope="module")
def case():
    graph = random_network(3)
    codes = random_codes(graph, 1, np.random.default_rng(3))
    program = compile(graph, small_machine(feature_words=64, instruction_words=64))
    return graph, codes, program, run_reference(graph, codes)


def test_layers_are_compared(case, monkeypatch):
    graph, codes, program, expected = case
    machine = simulated_machine(program)
    assert differing(machine, codes[0], expected)[0] == 0
    name = next(layer.name for layer in program.layers if layer.kept)
    wrong = expected | {name: expected[name] + 1}
    assert differing(machine, codes[0], wrong)[0] == 1
    # A layer by itself: the front of the network.
    monkeypatch.setattr(zynq, "MACHINE", program.architecture)
    middle = graph.layers[2].name
    assert zynq.alone(graph, middle, codes, expected, silent) == 0
    assert zynq.alone(graph, middle, codes, expected | {middle: expected[middle] + 1}, silent) == 1


def test_what_leaves_the_buffers_is_no_result(case):
    _, codes, program, expected = case
    machine = simulated_machine(program)
    machine.transport.memory.burst = 2
    with pytest.raises(AssertionError, match="longer than agreed"):
        differing(machine, codes[0], expected)


def test_kept_figures_reach_their_bars():
    kept = ZYNQ.kept()
    assert set(kept) == set(ZYNQ.keys)
    assert all(figure.met(kept) for figure in FIGURES), json.dumps(kept)
