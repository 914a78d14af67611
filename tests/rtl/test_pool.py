import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.pool import WindowMaximum
from sim.bench import Bench, plain

SIZES = [(1, 1, 2), (2, 3, 4), (4, 2, 8)]
IDLE = {"valid": 0, "start": 1}


def windows(size, count, window, seed, is_signed):
    """Codes, unsigned, and which words are inside: at least one of each window."""
    groups, lanes, bits = size
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << bits, (count * window, groups, lanes))
    # The smallest code of all, which is not 0 where codes have a sign, fills some windows.
    codes[: 2 * window] = 1 << bits - 1 if is_signed else 0
    inside = rng.random((count, window, groups)) < 0.5
    chosen = rng.integers(0, window, (count, groups))
    inside[np.arange(count)[:, None], chosen, np.arange(groups)] = True
    inside = inside.reshape(-1, groups)
    # Words outside are not 0, as those of another row.
    codes[~inside] = rng.integers(0, 1 << bits, ((~inside).sum(), lanes))
    return codes, inside


def values(codes, bits, is_signed):
    half = 1 << bits - 1 if is_signed else 0
    return (codes ^ half) - half


def rows_of(codes, inside, window, gaps, rng):
    """Rows to play, with idle cycles between, and in which of them each word is."""
    rows, cycles = [], []
    for n, (word, within) in enumerate(zip(codes, inside)):
        while rng.random() < gaps:
            # What stands at the inputs without `valid` means nothing.
            rows.append(IDLE | {"codes": codes[rng.integers(len(codes))], "inside": within})
        cycles.append(len(rows))
        rows.append({"valid": 1, "start": n % window == 0, "codes": word, "inside": within})
    return [*rows, IDLE, IDLE], cycles


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("is_signed", [0, 1])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [1, 2, 9])
def test_largest_of_every_window(size, window, is_signed, gaps):
    dut = WindowMaximum(*size)
    codes, inside = windows(size, 12, window, window, is_signed)
    expected = dut.model(values(codes, size[2], is_signed), inside[..., None], window)
    rows, cycles = rows_of(codes, inside, window, gaps, np.random.default_rng(1))
    rows[0] |= {"signed": is_signed}
    shown = Bench(dut).played(rows, ["largest"])["largest"]
    ends = cycles[window - 1 :: window]
    assert [shown[cycle + dut.latency] for cycle in ends] == plain(expected)
    # It stays until the next word has been taken.
    for end, following in zip(ends, [*cycles[window::window], len(rows) - 1]):
        held = shown[end + dut.latency : following + dut.latency]
        assert all(word == held[0] for word in held)


def test_largest_so_far():
    """The maximum runs along: it is that of the words up to now."""
    size = (2, 2, 5)
    dut = WindowMaximum(*size)
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 32, (20, 2, 2))
    inside = np.ones((20, 2), bool)
    rows, cycles = rows_of(codes, inside, 20, 0.3, rng)
    shown = Bench(dut).played(rows, ["largest"])["largest"]
    expected = np.maximum.accumulate(codes, axis=0)
    assert [shown[cycle + 1] for cycle in cycles] == plain(expected)


def test_clear_leaves_zeros():
    """After a clear the lanes are 0 until the next word, whatever they were and whatever waits."""
    dut = WindowMaximum(2, 2, 4)
    word = {"valid": 1, "start": 1, "signed": 1, "codes": [[8, 9], [7, 15]], "inside": [1, 1]}
    rows = [word, {"valid": 0, "clear": 1}, {"clear": 0}, {}, {"valid": 1}, {}]
    shown = Bench(dut).played(rows, ["largest"])["largest"]
    taken, zeros = [[-8, -7], [7, -1]], [[0, 0], [0, 0]]
    assert shown == [zeros, taken, zeros, zeros, zeros, taken]


def test_model_refuses_an_empty_window():
    inside = np.array([True, False, False, False])
    with pytest.raises(ValueError, match="a window is wholly outside the map"):
        WindowMaximum.model(np.arange(4), inside, 2)
    assert WindowMaximum.model(np.arange(4), inside, 4).tolist() == [0]


@pytest.mark.parametrize("size", SIZES)
def test_conversion(size):
    rtlil.convert(WindowMaximum(*size))
