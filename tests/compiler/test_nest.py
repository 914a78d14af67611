import numpy as np
import pytest

from compiler.nest import Level, Vector, Walk, sequence, steps, strides, walk_instructions
from rtl.isa import LEVELS, Nest, Opcode, encode


def machine_walk(first: int, lasts: list[int], deltas: list[int]) -> list[int]:
    """What the page says: a level advances, those below return, its step is added."""
    index, value, result = [0] * len(lasts), first, []
    while True:
        result.append(value)
        for level, last in enumerate(lasts):
            if index[level] < last:
                index[level] += 1
                value += deltas[level]
                break
            index[level] = 0
        else:
            return result


@pytest.mark.parametrize("seed", range(20))
def test_steps_make_the_affine_sequence(seed):
    source = np.random.default_rng(seed)
    counts = source.integers(1, 5, 4).tolist()
    stride = source.integers(-50, 50, 4).tolist()
    deltas = steps(counts, stride)
    walked = machine_walk(7, [count - 1 for count in counts], deltas)
    assert walked == sequence(7, counts, stride).tolist()
    assert sequence(7, counts, strides(counts, deltas)).tolist() == walked


def test_walk_sets_every_level():
    walk = Walk((Level(3, 1, column=1), Level(2, 8, row=1)), 5, -1, -2)
    assert walk.words == 6
    instructions = walk_instructions(Nest.ACTIVATION, walk, 21)
    opcodes = [opcode for opcode, _ in instructions]
    levels = LEVELS[Nest.ACTIVATION]
    assert opcodes == [Opcode.ORIGIN, *[Opcode.LOOP] * levels, *[Opcode.STEP] * levels]
    assert instructions[0][1] == {"nest": Nest.ACTIVATION, "address": 21, "row": -1, "column": -2}
    assert instructions[2][1]["step"] == 8 - 2
    assert instructions[levels + 2][1] == {"level": 1, "row": 1, "column": -2}
    for opcode, fields in instructions:
        encode(opcode, **fields)


def test_too_many_levels():
    with pytest.raises(ValueError, match="OUTPUT has 4 levels, not 5"):
        walk_instructions(Nest.OUTPUT, Walk((Level(2),) * 5), 0)


def test_words_of_a_vector():
    vector = Vector(word_step=3, group_step=10, group_shift=1)
    assert vector.offsets(2, 4).tolist() == [[0, 3], [0, 3], [10, 13], [10, 13]]
    assert vector.levels(2, 4) == [(2, 3), (2, 10)]
