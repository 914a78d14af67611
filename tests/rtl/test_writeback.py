import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.nest import LoopNest
from rtl.writeback import WriteBack
from sim.bench import Bench

ADDRESS_BITS = 9


def nest(counts, seed):
    """Settings of OUTPUT with so many iterations of each level and any steps."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, 1 << ADDRESS_BITS, len(counts))
    return {
        "address": int(rng.integers(1 << ADDRESS_BITS)),
        "levels": [{"last": k - 1, "step": int(step)} for k, step in zip(counts, steps)],
    }


def written(counts, last_level, count):
    """Whether each word is written, by the loops themselves."""
    members, columns, rows, groups = counts
    return [
        member < count or (group < groups - 1 if last_level else column < columns - 1)
        for group in range(groups)
        for row in range(rows)
        for column in range(columns)
        for member in range(members)
    ]


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize("last_level", [0, 1])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_members_of_the_last_word(groups, last_level, gaps):
    """Every count of members, level 1 or 3 with one iteration or several; words come in gaps."""
    rng = np.random.default_rng(groups)
    for count in range(groups + 1):
        dut = WriteBack(groups, ADDRESS_BITS)
        members = {"last_level": last_level, "count": count}
        rows, expected = [{"members": members}], [None]
        for counts in ((groups, 3, 2, 2), (groups, 1, 3, 1), (groups, 2, 1, 3)):
            steps = LoopNest.model(nest(counts, count), ADDRESS_BITS)
            writes = dut.model(members, steps).tolist()
            assert writes == written(counts, last_level, count)
            for n, write in enumerate(writes):
                step = {name: values[n] for name, values in steps.items()}
                while rng.random() < gaps:
                    # The step of the next word waits.
                    rows.append({"valid": 0, "step.valid": 1, "step.payload": step})
                    expected.append(None)
                rows.append({"valid": 1, "step.valid": 1, "step.payload": step})
                expected.append((step["address"], write))
        shown = Bench(dut).played(rows, ["step.ready", "write", "address"])
        assert shown["step.ready"] == [int(word is not None) for word in expected]
        assert shown["write"] == [int(word is not None and word[1]) for word in expected]
        for address, word in zip(shown["address"], expected):
            assert word is None or address == word[0]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conversion(groups):
    rtlil.convert(WriteBack(groups, ADDRESS_BITS))
