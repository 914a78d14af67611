import random

from compiler.tiling.space import Place, Space


def test_places_never_share_words_at_a_time():
    """Random requests from either end, in the order in which a schedule makes them."""
    source = random.Random(1)
    space, taken = Space(100), []
    for time in range(200):
        space.forget(time - 10)
        words, begin = source.randint(1, 30), time - source.randint(0, 3)
        end = time + source.randint(1, 4)
        address = space.find(words, begin, end, top=source.random() < 0.5)
        if address is None:
            continue
        assert address >= 0 and address + words <= 100
        for other in taken:
            apart = other.end <= begin or end <= other.begin
            assert apart or not other.meets(address, words)
        taken.append(space.take(Place(address, words, begin, end, time)))
    assert len(taken) > 100


def test_what_is_full_has_no_place():
    space = Space(10)
    space.take(Place(3, 4, 0, 5))
    assert space.find(3, 0, 5) == 0
    assert space.find(3, 0, 5, top=True) == 7
    assert space.find(4, 4, 6) is None
    assert space.find(4, 5, 6) == 0


def test_from_the_top_one_that_begins_lower_may_reach_higher():
    space = Space(10)
    space.take(Place(4, 6, 0, 2))
    space.take(Place(5, 1, 2, 4))
    assert space.find(3, 1, 3, top=True) == 1


def test_who_had_the_words_before():
    space = Space(10)
    space.take(Place(0, 5, 0, 2, 1))
    space.take(Place(5, 5, 0, 3, 2))
    place = space.take(Place(4, 2, 3, 4))
    assert space.owners_before(place) == {1, 2}
    assert space.owners_before(Place(0, 5, 1, 4)) == set()


def test_an_early_end():
    space = Space(10)
    space.take(Place(0, 10, 0, 5, 1))
    assert space.find(1, 3, 4) is None
    space.end(3)
    assert space.find(1, 3, 4) == 0
