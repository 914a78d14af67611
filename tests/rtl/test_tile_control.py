import pytest
from amaranth.hdl import Const, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.tile_control import tile_control
from sim.bench import Bench

WORDS = 4


class Engine(wiring.Component):
    """Handshakes alone, with tiles of four weight words."""

    def __init__(self):
        super().__init__(
            {
                "settings": In(data.StructLayout({"last_vector": 16})),
                "start": In(1),
                "weights": In(stream.Signature(8)),
                "activations": In(stream.Signature(8)),
                "swap": Out(1),
                "loaded": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        swap, loaded = tile_control(m, self, Const(WORDS - 1))
        m.d.comb += [self.swap.eq(swap), self.loaded.eq(loaded)]
        return m


@pytest.mark.parametrize("vectors", [1, 3, 4, 5, 6, 9])
def test_tiles_follow_each_other(vectors):
    """Every ``max(vectors, words + 1)`` cycles, swapped at the first vector of each."""
    dut, tiles = Engine(), 3
    bench = Bench(dut)
    swaps = bench.watch(dut.swap)
    sent, _ = bench.transfer(
        {"weights": [0] * tiles * WORDS, "activations": [0] * tiles * vectors},
        {},
        settings={"settings": {"last_vector": vectors - 1}},
        start="start",
    )
    first = sent["weights"][0] + WORDS
    period = max(vectors, WORDS + 1)
    taken = [first + t * period + v for t in range(tiles) for v in range(vectors)]
    assert sent["activations"] == taken
    assert swaps == taken[::vectors]
    # The next tile is loaded from the cycle after the swap on.
    assert sent["weights"][WORDS] == first + 1


@pytest.mark.parametrize("before", [1, WORDS])
def test_start_forgets(before):
    """What was loaded before it does not count."""
    dut = Engine()
    load = {"weights.valid": 1}
    rows = [{"settings": {"last_vector": 1}, "start": 1}, {"start": 0, **load}]
    rows += [{}] * (before - 1) + [{"weights.valid": 0, "start": 1}, {"start": 0}]
    rows += [{"activations.valid": 1}, load, *[{}] * (WORDS - 1), {"weights.valid": 0}, {}]
    shown = Bench(dut).played(rows, ("activations.ready", "swap", "loaded"))
    begun = before + 3
    assert shown["loaded"][begun] == 0
    # Two vectors are taken once four words are there.
    assert shown["activations.ready"][begun:] == [0] * (WORDS + 1) + [1, 1]
    assert shown["swap"][begun:] == [0] * (WORDS + 1) + [1, 0]
