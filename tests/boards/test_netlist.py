"""Gate level: netlists of the blocks that do the arithmetic are proven equal to their RTL."""

import re

import pytest

from boards.netlist import prove, synthesize
from rtl.columns.column import Column
from rtl.columns.plan import lane_plan
from rtl.post import PostLane

BLOCKS = {
    "column": lambda: Column(4, lane_plan("w4r"), 4),
    "post": lambda: PostLane(16, 5),
}


@pytest.fixture(scope="module")
def netlists():
    return {name: synthesize(block()) for name, block in BLOCKS.items()}


@pytest.mark.parametrize("name", BLOCKS)
def test_netlist_equals_rtl(name, netlists):
    block = BLOCKS[name]()
    proof = prove(block, netlists[name])
    assert proof.equal, proof.unproven
    # Every stage of the pipeline has registers among the points.
    assert proof.points > 70
    assert "DSP48" not in netlists[name]


def test_one_wrong_bit_is_found(netlists):
    """The truth table of one LUT, changed in one entry."""
    netlist = netlists["column"]
    # A flip-flop's value at power-on has one bit.
    tables = list(re.finditer(r"\.INIT\((\d\d)'h([0-9a-f]+)\)", netlist))
    assert len(tables) > 20
    table = tables[len(tables) // 2]
    value = int(table[2], 16) ^ 1 << (int(table[1]) // 2)
    broken = netlist[: table.start(2)] + f"{value:x}" + netlist[table.end(2) :]
    proof = prove(BLOCKS["column"](), broken)
    assert not proof.equal
    # The name says which register: of a product or of a level of the adder tree.
    assert all(re.fullmatch(r"(chosen|product|sum)\w*\[\d+\]", name) for name in proof.unproven)


def test_netlist_of_another_block_is_refused(netlists):
    with pytest.raises(RuntimeError, match="Yosys failed"):
        prove(BLOCKS["post"](), netlists["column"])
    with pytest.raises(RuntimeError, match="Yosys failed"):
        prove(BLOCKS["post"](), "module top(; endmodule")
