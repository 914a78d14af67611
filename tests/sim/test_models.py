"""The compiled and the interpreted model: one behaviour, cycle for cycle."""

import numpy as np
import pytest

from rtl.design import Design
from sim.compiled import CompiledModel
from sim.interpreted import InterpretedModel
from tests.sim.memory_machine import MemoryMachine

DESIGN = Design(MemoryMachine, (64, 3), "memory_machine")


@pytest.fixture(params=["compiled", "interpreted"])
def model(request):
    if request.param == "compiled":
        return CompiledModel.build(DESIGN)
    return InterpretedModel(MemoryMachine(), "memory_machine")


def test_blocks_come_back(model):
    words = np.random.default_rng(0).integers(0, 1 << 32, 64, np.uint32)
    words[:2] = 0, 0xFFFFFFFF
    model.write(0, words)
    assert model.cycles == 64
    assert (model.read(0, 64) == words).all()
    assert model.cycles == 64 + 64 + 2
    model.write(7, np.array([5]))
    assert model.read(6, 3).tolist() == [words[6], 5, words[8]]
    assert model.read(0, 0).size == 0


def test_run_until_counts_cycles(model):
    model.write(64, np.array([20]))
    assert model.get("busy") == 1
    assert model.run_until("busy", 1, 0, limit=100) == 20
    assert model.run_until("busy", 1, 0, limit=0) == 0
    assert model.cycles == 21


def test_run_until_gives_up(model):
    model.write(64, np.array([20]))
    with pytest.raises(TimeoutError, match="busy & 0x1 is not 0x0 after 7 cycles"):
        model.run_until("busy", 1, 0, limit=7)
    assert model.cycles == 8
    assert model.run_until("busy", 1, 0, limit=13) == 13


def test_ports_of_all_widths(model):
    value = 0xABCDEF << 76 | 0x123456789
    model.set("wide", value)
    assert model.get("echo") == value
    model.set("a", 4095)
    assert model.get("sum") == 0
    model.tick()
    assert model.get("sum") == 4096
    model.reset()
    assert model.get("sum") == 0
    assert model.cycles == 2


def test_wrong_use_is_refused(model):
    with pytest.raises(ValueError, match="busy is an output"):
        model.set("busy", 1)
    with pytest.raises(ValueError, match="a has 12 bits, 4096 needs others"):
        model.set("a", 4096)
    with pytest.raises(ValueError, match="no 2 words at 0x3ffffff"):
        model.read((1 << 26) - 1, 2)
    with pytest.raises(ValueError, match="an integer of 32 bits, not float64"):
        model.write(0, np.zeros(3))
    with pytest.raises(ValueError, match="an integer of 32 bits, not int64"):
        model.write(0, np.array([1 << 32]))


@pytest.mark.parametrize("latency", [1, 8])
def test_latencies(latency):
    model = InterpretedModel(MemoryMachine(16, latency), "memory_machine")
    model.write(0, np.arange(16))
    assert model.read(0, 16).tolist() == list(range(16))
    assert model.cycles == 16 + 16 + latency - 1


def test_instances_are_independent():
    first, second = (CompiledModel.build(DESIGN) for _ in "ab")
    first.write(3, np.array([9]))
    assert first.read(3, 1)[0] == 9
    assert second.read(3, 1)[0] == 0
