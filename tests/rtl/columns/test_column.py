import numpy as np
import pytest
from amaranth.back import rtlil

from boards.activity import simulate
from boards.netlist import prove, synthesize
from rtl.columns.column import Column
from rtl.columns.plan import PLANS, lane_plan
from rtl.verilog import to_verilog
from sim.bench import Bench

FORMATS = tuple(PLANS)


def operands(plan, vector):
    """What the column gets for activations."""
    return [
        {"x1": int(a)} | ({"x3": int(3 * a >> 1)} if 3 in plan.multiples else {}) for a in vector
    ]


def word(plan, codes):
    """A column's weight word as an integer."""
    lanes = plan.expand(codes).tolist()
    return sum(code << n * plan.lane_bits for n, code in enumerate(lanes))


def stimulus(dut, tiles, vectors):
    """Inputs of every cycle for ``vectors [tiles, words, lanes]``, each tile with its weights
    ``[tiles, lanes]``, as words; the last ``words * tiles`` cycles show the sums.

    A tile is loaded while the one before it works and is switched to without a pause.
    """
    plan, count = dut.plan, len(tiles)
    words = vectors.shape[1]
    assert words > 2
    flat = vectors.reshape(-1, dut.lanes)
    rows = [{"word": word(plan, tiles[0]), "load": 1, "switch": 0, "vector": flat[0]}]
    for now in range(count * words + dut.latency + 1):
        # Stage k switches k cycles after the vector's tile began.
        tile, position = divmod(now, words)
        rows.append(
            {
                "word": word(plan, tiles[min(tile + 1, count - 1)]),
                # The next tile comes when the last stage has switched.
                "load": int(position == plan.stages and tile + 1 < count),
                "switch": 1 << position if position < plan.stages and tile < count else 0,
                # Weights are active from the cycle after their switch on.
                "vector": flat[min(max(now - 1, 0), len(flat) - 1)],
            }
        )
    return rows


def run(dut, tiles, vectors):
    """Sums ``[tiles, words]`` of a stimulus."""
    sums = []

    async def testbench(ctx):
        for row in stimulus(dut, tiles, vectors):
            for name in ("word", "load", "switch"):
                ctx.set(getattr(dut, name), row[name])
            ctx.set(dut.vector, operands(dut.plan, row["vector"]))
            _, _, total = await ctx.tick().sample(dut.sum)
            sums.append(total)

    Bench(dut).run(testbench)
    return np.array(sums[-vectors[..., 0].size :]).reshape(vectors.shape[:2])


def expected(plan, bits, tiles, vectors):
    return Column.model(plan, bits, tiles[:, None], vectors)[..., 0]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", FORMATS)
def test_sums(name, bits):
    plan = lane_plan(name)
    rng = np.random.default_rng(bits)
    lanes, top = 7, (1 << bits) - 1
    tiles = rng.integers(0, 1 << plan.format.bits, (4, lanes))
    vectors = rng.integers(0, top, (4, 12, lanes), endpoint=True)
    # The largest sum that the width is made for.
    largest = np.argmax(plan.folds(bits))
    tiles[1] = largest | 1 << plan.sign
    vectors[1, 5] = 0
    total = run(Column(lanes, plan, bits), tiles, vectors)
    assert np.array_equal(total, expected(plan, bits, tiles, vectors))
    assert total.max() == lanes * sum(plan.term_largest(n, bits) for n in range(len(plan.terms)))


@pytest.mark.parametrize("name", FORMATS)
def test_lane_for_all_operands(name):
    """Every code of a weight with every activation."""
    plan = lane_plan(name)
    codes = np.arange(1 << plan.format.bits)[:, None]
    vectors = np.tile(np.arange(256)[None, :, None], (len(codes), 1, 1))
    total = run(Column(1, plan, 8), codes, vectors)
    size = np.array(plan.sizes())[codes & len(plan.format.magnitudes) - 1]
    negative = codes >> plan.sign & 1
    activations = np.arange(256)
    exact = np.where(negative, plan.code_excess(codes, 8) - size * activations, size * activations)
    assert np.array_equal(total, exact)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", FORMATS)
def test_primitives_equal_arithmetic(name, bits):
    """Proof for all states and inputs, with Yosys's models of LUT6_2, MUXF7 and CARRY4.

    Four lanes have all that a column is made of: lanes, sums of three, sums of two and delays.
    """
    plan = lane_plan(name)
    proof = prove(Column(4, plan, bits), to_verilog(Column(4, plan, bits, "xc7"), "top"))
    assert proof.equal, proof.unproven
    assert proof.points > 60


@pytest.mark.parametrize("name, family", [("w4r", "xc7"), ("log5", "xc7")])
def test_netlist_equals_rtl(name, family):
    """What synthesis makes of the primitives does what the generic version says."""
    plan = lane_plan(name)
    netlist = synthesize(Column(3, plan, 4, family))
    proof = prove(Column(3, plan, 4), netlist)
    assert proof.equal, proof.unproven
    assert "DSP48" not in netlist


@pytest.mark.parametrize("name, family", [("w4r", "xc7"), ("w4r", None), ("log5", "xc7")])
def test_synthesized_column_at_gate_level(name, family):
    """A column as the machines have it, in look-up tables, carry chains and flip-flops."""
    plan = lane_plan(name)
    dut = Column(16, plan, 8, family)
    rng = np.random.default_rng(1)
    tiles = rng.integers(0, 1 << plan.format.bits, (3, dut.lanes))
    vectors = rng.integers(0, 256, (3, 20, dut.lanes))
    rows = stimulus(dut, tiles, vectors)
    inputs = {key: np.array([row[key] for row in rows], object) for key in rows[0]}
    layout = dut.vector.shape()
    inputs["vector"] = np.array(
        [layout.const(operands(plan, row["vector"])).as_value().value for row in rows], object
    )
    sums = simulate(dut, inputs).outputs["sum"][-vectors[..., 0].size :]
    assert np.array_equal(
        sums.astype(np.int64).reshape(vectors.shape[:2]), expected(plan, 8, tiles, vectors)
    )


def test_a_wrong_table_is_found():
    plan = lane_plan("w3")
    verilog = to_verilog(Column(3, plan, 4, "xc7"), "top")
    place = verilog.index("64'h") + len("64'h")
    wrong = verilog[:place] + f"{int(verilog[place], 16) ^ 1:x}" + verilog[place + 1 :]
    assert not prove(Column(3, plan, 4), wrong).equal


def test_latency():
    for name, latency in (("w4r", 2 + 4), ("w3", 1 + 4), ("sp2", 1 + 5)):
        # sp2 has two terms a lane, so a level more; the sums of `run` come after `latency`.
        assert Column.column_latency(48, lane_plan(name)) == latency


@pytest.mark.parametrize("family", [None, "xc7"])
def test_conversion(family):
    rtlil.convert(Column(5, lane_plan("log4"), 8, family))
