from rtl.counters import COUNTED, AccessCounters
from tests.rtl.split.feed import feed


def test_counts_since_the_last_clear():
    rows = [{"events": 0b000101}] * 3 + [{"events": 0b100000}] * 2 + [{"events": 0}] * 2
    rows += [{"clear": 1}, {"clear": 0, "events": 2}, {"events": 0}, {}]
    found = [counts for (counts,) in feed(AccessCounters(), rows, ["counts"])]
    assert len(COUNTED) == 6
    assert found[AccessCounters.latency + 3] == [3, 0, 3, 0, 0, 1]
    assert found[AccessCounters.latency + 4] == [3, 0, 3, 0, 0, 2]
    assert found[8] == [0] * 6
    assert found[10] == [0, 1, 0, 0, 0, 0]
