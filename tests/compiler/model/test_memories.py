import pytest

from benchmarks.resource_points import load_points
from compiler.model.memories import map_memory
from compiler.model.resources import memories
from rtl.architecture import Architecture

POINTS = load_points()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point["machine"]["name"])
def test_block_rams_are_those_of_yosys_in_every_block(point):
    found = dict.fromkeys(point["blocks"], 0.0)
    architecture = Architecture.from_dict(point["machine"])
    for block, mapped in memories(architecture, point["family"]):
        found[block] += mapped.bram
    assert found == {block: used["bram"] for block, used in point["blocks"].items()}


def test_rows_share_block_rams_by_bytes():
    # 148 bits are 17 bytes; three rows of 512 words are 51 bytes, 13 half RAMs of four.
    assert map_memory(148, 1500, "xc7").bram == 6.5
    assert map_memory(148, 512, "xc7").bram == 2.5


def test_shallow_memories_are_tables():
    assert map_memory(80, 64, "xc7") == (0.0, 27 * 4, 0, 80)
    assert map_memory(24, 128, "xcup").tables == 8 * 8 and map_memory(32, 128, "xc7").bram == 0.5
