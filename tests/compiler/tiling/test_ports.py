"""The model of transfers' cycles beside channels on the RTL."""

import dataclasses

import pytest

from compiler.settings import Move
from compiler.tiling.ports import Channel, Machine, burst_cycles, transfer_cycles
from rtl.architecture import External
from rtl.dma.registers import Buffer
from rtl.registers import Region
from tests.rtl.dma.system import SYSTEM
from tests.sim.test_axi_memory import FEATURE_BEATS, Compiled

OUTSTANDING = SYSTEM.axi.outstanding
PATTERNS = {
    "one load": [(False, 1, 250)],
    "loads": [(False, 1, 100), (False, 1, 60), (False, 1, 90)],
    "short loads": [(False, 1, 1)] * 6,
    "loads of single words": [(False, 60, 1), (False, 60, 1)],
    "loads of rows": [(False, 8, 20), (False, 4, 17)],
    "stores": [(True, 1, 100), (True, 1, 60), (True, 1, 90)],
    "stores of single words": [(True, 60, 1), (True, 60, 1)],
    "both": [(False, 1, 80), (True, 1, 80), (False, 8, 10), (True, 8, 10), (False, 1, 50)],
}


@pytest.fixture(scope="module")
def machine():
    return Compiled()


def move(store, rows, words):
    return Move(
        channel=0,
        store=int(store),
        region=Region.FEATURES,
        buffer=Buffer.FEATURES,
        offset=0,
        address=0,
        words=words,
        rows=rows,
        memory_stride=words * FEATURE_BEATS,
        address_stride=words,
    )


@pytest.mark.parametrize("latency, percent", [(10, 100), (50, 70), (30, 50)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_on_the_rtl(machine, pattern, latency, percent):
    """Within 5 % and a few cycles: the program's next instruction is some cycles away anyway."""
    machine.clean()
    machine.memory.latency, machine.memory.percent = latency, percent
    transfers = [
        (0, store, rows, words, words * FEATURE_BEATS, 0, 0)
        for store, rows, words in PATTERNS[pattern]
    ]
    counters, _ = machine.work(transfers, 8000)
    assert counters[0] == len(transfers)
    external = External(SYSTEM.axi.burst, OUTSTANDING, SYSTEM.queue, percent, latency)
    channel = Channel(external, Machine())
    for transfer in PATTERNS[pattern]:
        channel.move(0, move(*transfer), FEATURE_BEATS)
    assert channel.end(len(transfers)) == pytest.approx(counters[1], rel=0.05, abs=20)


def test_bursts_wait_for_those_before_them():
    external = External(16, 8, 8, 100, 62)
    assert burst_cycles(external, 16) == 16
    assert burst_cycles(external, 8) == 9
    assert burst_cycles(External(16, 8, 8, 50, 62), 8) == 16
    assert burst_cycles(External(16, 8, 8, 100, 1), 1) == 2
    assert burst_cycles(External(16, 8, 8, 100, 1), 1, store=True) == 3


def test_the_memory_of_weights_takes_a_word_a_cycle_of_both_channels():
    external = External(16, 8, 8, 100, 50)
    weights = dataclasses.replace(move(False, 1, 160), region=Region.WEIGHTS)
    assert transfer_cycles(external, weights, 1) == 320
    assert transfer_cycles(external, weights, 3) == 480
    assert transfer_cycles(external, move(False, 1, 160), 1) == 160


def test_what_the_machine_leaves():
    machine = Machine()
    assert machine.after(10, 50, store=False) == 60
    machine.run(100, 100, 50, 0)
    machine.run(250, 100, 100, 75)
    assert machine.after(10, 90, store=False) == 100
    assert machine.after(10, 100, store=False) == 120
    assert machine.after(120, 40, store=False) == 200
    assert machine.after(120, 41, store=False) == 201
    assert machine.after(120, 50, store=True) == 170
    # A run that takes every cycle, but for one.
    assert machine.after(240, 31, store=False) == 370
    assert machine.after(300, 10, store=True) == 340


def test_a_queue_takes_so_many():
    channel = Channel(External(16, 8, 4, 100, 10), Machine())
    waits = []
    for _ in range(9):
        waits.append(channel.room(0) > 0)
        channel.move(0, move(False, 1, 8), FEATURE_BEATS)
    assert waits == [False] * 7 + [True] * 2
