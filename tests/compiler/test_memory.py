import numpy as np
import pytest

from compiler.memory import Buffer, allocate


def check(buffers, plan):
    for i, a in enumerate(buffers):
        offset = plan.places[a.name]
        assert 0 <= offset <= plan.words - a.words
        for b in buffers[:i]:
            start = plan.places[b.name]
            if a.overlaps(b):
                assert offset + a.words <= start or start + b.words <= offset


@pytest.mark.parametrize("seed", range(30))
def test_plans_hold_what_was_demanded(seed):
    source = np.random.default_rng(seed)
    buffers = []
    for i in range(int(source.integers(1, 20))):
        first = int(source.integers(0, 20))
        last = first + int(source.integers(0, 6))
        buffers.append(Buffer(f"b{i}", int(source.integers(1, 100)), first, last))
    check(buffers, allocate(buffers, 150))


def test_space_is_used_again():
    chain = [Buffer(f"b{i}", 100, i, i + 1) for i in range(10)]
    plan = allocate(chain, 200)
    check(chain, plan)
    assert plan.words == 200


def test_the_order_is_changed_until_it_fits():
    # The largest first leaves a hole that the last one does not fit into.
    buffers = [
        Buffer("a", 50, 0, 1),
        Buffer("b", 40, 1, 3),
        Buffer("c", 35, 2, 4),
        Buffer("d", 45, 4, 5),
        Buffer("e", 20, 3, 4),
        Buffer("f", 30, 0, 0),
    ]
    needed = max(sum(b.words for b in buffers if b.first <= t <= b.last) for t in range(6))
    at_first = allocate(buffers, 1 << 20)
    plan = allocate(buffers, needed)
    check(buffers, plan)
    assert plan.words == needed < at_first.words


def test_too_small_a_memory_is_reported_not_hidden():
    assert allocate([Buffer("b", 100, 0, 1)], 50).words == 100
    assert allocate([], 50).words == 0
