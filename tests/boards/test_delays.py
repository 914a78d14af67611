"""Delays as Yosys's models state them."""

import pytest

from boards.delays import CellTiming, cell_timings, kind_of


def timing(name: str, **parameters: str) -> CellTiming:
    kind = kind_of({"type": name, "parameters": parameters})
    return cell_timings([kind])[kind]


def test_look_up_tables():
    lut = timing("LUT6")
    assert lut.arcs[("I0", 0), ("O", 0)] == 642
    assert lut.arcs[("I5", 0), ("O", 0)] == 127
    assert not (lut.launch or lut.setup or lut.clocks)


def test_two_outputs():
    lut = timing("LUT6_2")
    assert lut.arcs[("I0", 0), ("O6", 0)] == lut.arcs[("I0", 0), ("O5", 0)] == 642
    assert (("I5", 0), ("O5", 0)) not in lut.arcs
    assert len(lut.arcs) == 11


def test_carry():
    carry = timing("CARRY4")
    assert carry.arcs[("CI", 0), ("CO", 3)] == 114
    assert carry.arcs[("S", 0), ("O", 0)] == 223
    assert (("S", 1), ("O", 0)) not in carry.arcs


def test_flip_flop():
    ff = timing("FDRE", IS_C_INVERTED="0")
    assert ff.launch == {("Q", 0): 303}
    assert ff.setup == {("D", 0): 0, ("CE", 0): 109, ("R", 0): 404}
    assert ff.clocks == {("C", 0)}


def test_memories():
    ram = timing("RAM32M")
    assert ram.arcs[("ADDRA", 0), ("DOA", 0)] == ram.arcs[("ADDRA", 0), ("DOA", 1)] == 642
    assert ram.launch[("DOA", 0)] == 1153
    assert ram.setup[("WE", 0)] == 654
    assert timing("RAM64M").arcs[("ADDRB", 5), ("DOB", 0)] == 127
    block = timing("RAMB36E1", WRITE_MODE_A="READ_FIRST      ", DOA_REG="0")
    assert block.launch[("DOADO", 31)] == 2454
    assert block.setup[("ADDRARDADDR", 15)] == 566


def test_parameters_count():
    registered, bare = timing("DSP48E1", AREG="1", USE_MULT="NONE"), timing("DSP48E1", AREG="0")
    assert registered.setup[("A", 0)] < bare.setup[("A", 0)]
    # Without its registers the input D leads nowhere.
    assert ("D", 0) not in registered.setup


def test_many_kinds_at_once():
    kinds = [("LUT2", ()), ("FDRE", (("IS_D_INVERTED", "1"),)), ("FDRE", ())]
    assert set(cell_timings(kinds)) == set(kinds)


def test_a_cell_without_times():
    with pytest.raises(RuntimeError, match="no times of the cell MUXCY"):
        timing("MUXCY")
