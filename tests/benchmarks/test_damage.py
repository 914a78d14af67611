"""A short version of what the benchmark does with 1,000 programs; and what the damage is."""

import numpy as np

from benchmarks.damage import (
    ADDRESSES,
    corrupted_programs,
    damaged,
    random_programs,
    right_programs,
)
from rtl.isa import OPCODE_BITS


def silent(done, total, label):
    pass


def test_random_programs():
    found = random_programs(4, silent)
    assert found == {"random.programs": 4, "random.mismatches": 0, "random.escapes": 0}


def test_corrupted_programs():
    found = corrupted_programs(24, silent)
    errors = found.pop("corrupted.errors")
    assert 0 < errors < 24
    assert found == {
        "corrupted.programs": 24,
        "corrupted.hangs": 0,
        "corrupted.escapes": 0,
        "corrupted.aftermath": 0,
    }


def test_damage_is_of_all_kinds():
    _, program = next(right_programs())
    source = np.random.default_rng(0)
    counts, opcodes = [], set()
    for _ in range(60):
        words = damaged(program, source).instructions
        assert words.dtype == np.uint64 and len(words) == len(program.instructions)
        differ = np.flatnonzero(words != program.instructions)
        counts.append(len(differ))
        kept = words[differ] ^ program.instructions[differ]
        if len(differ) <= 4 and not (kept & np.uint64((1 << OPCODE_BITS) - 1)).any():
            opcodes |= set((words[differ] & np.uint64((1 << OPCODE_BITS) - 1)).tolist())
    assert max(counts) > 20 and sum(count <= 8 for count in counts) > 30
    assert opcodes >= {opcode.value for opcode, _ in ADDRESSES}
