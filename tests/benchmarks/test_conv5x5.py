import numpy as np
import pytest
from amaranth.sim import Simulator

from benchmarks.conv5x5 import (
    CONV5X5,
    KERNELS,
    TRAINED,
    WHOLE,
    busy,
    computing,
    layer,
    network,
    others,
)
from benchmarks.nin import nin
from benchmarks.select_elements import Product, SelectColumn
from compiler.mapping.conv5x5 import codebook_of
from quant.quantized import QConv
from rtl.architecture import load_architecture

ASKED = (
    *(f"busy.k{kernel}" for kernel in (1, 3, 5, 7, 11)),
    *TRAINED,
    "nin.busy",
    "array.lut",
    "machine.lut",
    "machine.macs_per_clock",
    "mismatches",
)
KEPT = CONV5X5.kept()


def silent(done, total, label):
    """No progress."""


def test_kept_results_reach_every_bar():
    assert set(ASKED) <= set(CONV5X5.keys) == set(KEPT)
    assert [figure.key for figure in CONV5X5.figures if not figure.met(KEPT)] == []


def test_training_brings_its_own_figures():
    assert others() == {key: KEPT[key] for key in TRAINED}


@pytest.mark.parametrize("key", ["array.lut", "machine.lut", "machine.dsp", "mismatches"])
def test_a_figure_too_high_misses_its_bar(key):
    figure = next(figure for figure in CONV5X5.figures if figure.key == key)
    assert figure.met(KEPT) and not figure.met({**KEPT, key: 1e6})


def test_kernels_now():
    found = busy(silent)
    assert {key: KEPT[key] for key in found} == found
    assert all(found[f"busy.k{kernel}"] == 1 for kernel in KERNELS)


def test_computing_counts_idle_elements():
    """A layer's share of the elements in its vectors is never below its share of all cycles."""
    program = layer(3)
    assert program.busy < computing(program) <= 1


def test_network_now():
    found = network(silent)
    assert {key: KEPT[key] for key in found} == found


def test_machines_have_the_same_arrays():
    assert load_architecture(WHOLE).macs_per_cycle == KEPT["machine.macs_per_clock"]


def test_shape_of_network_in_network():
    graph = nin()
    layers = [layer for layer in graph.layers if isinstance(layer, QConv)]
    assert [layer.shape[1] for layer in layers] == [32] * 3 + [16] * 3 + [8] * 3
    assert sum(layer.macs for layer in layers) == 153_772_032
    assert graph.shape_of(graph.output) == (10, 1, 1)
    for each in layers:
        found = codebook_of(each.weight, 1)
        assert found and len(found[1]) == 3
        assert abs((each.weight == 0).mean() - 0.2) < 0.05


def test_selected_products():
    """The elements that ours are compared with do compute the sum."""
    rng = np.random.default_rng(0)
    dut = SelectColumn(6, 4)
    products = rng.integers(0, 1 << 13, (6, 3))
    codes = rng.integers(0, 4, 6)
    zero = 1 << 12
    expected = sum(zero if code == 0 else products[n, code - 1] for n, code in enumerate(codes))

    async def testbench(ctx):
        ctx.set(dut.word, sum(int(code) << 2 * n for n, code in enumerate(codes)))
        ctx.set(dut.load, 1)
        ctx.set(dut.switch, 1)
        ctx.set(dut.products, products.tolist())
        for _ in range(4):
            await ctx.tick()
        assert ctx.get(dut.sum) == expected

    simulate(dut, testbench)


def test_a_product():
    dut = Product(4)

    async def testbench(ctx):
        for activation, value in [(0, 511), (15, 511), (9, 100)]:
            ctx.set(dut.activation, activation)
            ctx.set(dut.value, value)
            for _ in range(3):
                await ctx.tick()
            assert ctx.get(dut.o) == activation * value

    simulate(dut, testbench)


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
