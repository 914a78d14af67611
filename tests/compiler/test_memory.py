import numpy as np
import pytest

from compiler.memory import Banks, Buffer, allocate


def check(buffers, banks_apart, plan):
    for i, a in enumerate(buffers):
        bank, offset = plan.places[a.name]
        assert offset >= 0
        assert offset + a.words <= plan.words
        for b in buffers[:i]:
            other, start = plan.places[b.name]
            if a.overlaps(b) and bank == other:
                assert offset + a.words <= start or start + b.words <= offset
    for a, b in banks_apart:
        assert plan.places[a][0] != plan.places[b][0]


@pytest.mark.parametrize("seed", range(30))
def test_plans_hold_what_was_demanded(seed):
    source = np.random.default_rng(seed)
    buffers = []
    for i in range(int(source.integers(1, 20))):
        first = int(source.integers(0, 20))
        last = first + int(source.integers(0, 6))
        buffers.append(Buffer(f"b{i}", int(source.integers(1, 100)), first, last))
    banks, apart = Banks(), []
    for _ in range(len(buffers)):
        pair = [b.name for b in source.choice(np.array(buffers, object), 2)]
        if pair[0] != pair[1] and banks.separate(*pair):
            apart.append(pair)
    check(buffers, apart, allocate(buffers, banks, 150))


def test_space_is_used_again():
    chain = [Buffer(f"b{i}", 100, i, i + 1) for i in range(10)]
    plan = allocate(chain, Banks(), 100)
    check(chain, [], plan)
    assert plan.words == 100


def test_sides_are_changed_until_it_fits():
    # Three residual blocks whose tensors fill both banks.
    banks = Banks()
    buffers = []
    for i in range(3):
        x, y = Buffer(f"x{i}", 64, 3 * i, 3 * i + 2), Buffer(f"y{i}", 64, 3 * i + 1, 3 * i + 3)
        buffers += [x, y]
        assert banks.separate(x.name, y.name)
    plan = allocate(buffers, banks, 128)
    check(buffers, [(f"x{i}", f"y{i}") for i in range(3)], plan)
    assert plan.words <= 128


def test_too_small_a_bank_is_reported_not_hidden():
    assert allocate([Buffer("b", 100, 0, 1)], Banks(), 50).words == 100
    assert allocate([], Banks(), 50).words == 0
