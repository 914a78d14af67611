import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.convolver.window import Window
from sim.bench import Bench, plain


def settings(lines, columns=1, skip_rows=0, skip_columns=0):
    return {
        "lines": lines,
        "last_column": columns - 1,
        "skip_rows": skip_rows,
        "skip_columns": skip_columns,
    }


def run(dut, chosen, words, stalls=()):
    """Windows of the words ``[tiles, vectors, words, channels]``."""
    tiles, vectors = words.shape[:2]
    flat = words.reshape(tiles * vectors, *words.shape[2:])
    rows = [{"settings": chosen, "start": 1}, {"start": 0}]
    for n, word in enumerate(flat):
        if n in stalls:
            # What is offered without being accepted leaves no trace.
            rows += [{"accept": 0, "first": 1, "words": flat[0]}] * 2
        rows.append({"accept": 1, "first": int(n % vectors == 0), "words": word})
    rows += [{"accept": 0}] * Window.latency
    shown = Bench(dut).played(rows, ("ends", "window"))
    return [window for end, window in zip(shown["ends"], shown["window"]) if end]


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stalls", [(), (3, 7, 8, 20)])
def test_lines(size, stalls):
    rng, before = np.random.default_rng(size), size - 1
    for rows, columns in ((size, size), (before + 3, before + 2), (before + 1, before + 4)):
        words = rng.integers(0, 16, (2, rows * columns, 1, 2))
        chosen = settings(1, columns, before, before)
        expected = Window.model(size, chosen, words)
        assert expected.shape == (2, (rows - before) * (columns - before), 2, size**2)
        found = run(Window(2, size, 4, 1, 16), chosen, words, stalls)
        assert found == expected.reshape(-1, 2, size**2).tolist()


@pytest.mark.parametrize("skip_rows, skip_columns", [(0, 1), (1, 0), (1, 2), (0, 0)])
def test_smaller_kernels_see_their_taps(skip_rows, skip_columns):
    """Windows end earlier; what is before the first row and column may be anything."""
    size, columns = 3, 4
    words = np.random.default_rng(0).integers(0, 16, (3, 3 * columns, 1, 1))
    chosen = settings(1, columns, skip_rows, skip_columns)
    found = np.array(run(Window(1, size, 4, 1, 16), chosen, words)).reshape(-1, size, size)
    expected = Window.model(size, chosen, words).reshape(-1, size, size)
    seen = (slice(None), slice(2 - skip_rows, None), slice(2 - skip_columns, None))
    assert np.array_equal(found[seen], expected[seen])


def test_model_is_a_sliding_window():
    image = np.arange(20).reshape(1, 20, 1, 1)
    windows = Window.model(3, settings(1, 5, 2, 2), image)
    assert windows.shape == (1, 2 * 3, 1, 9)
    assert windows[0, 0, 0].tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert windows[0, -1, 0].tolist() == [7, 8, 9, 12, 13, 14, 17, 18, 19]


@pytest.mark.parametrize("count", [1, 4, 9])
def test_words_beside_each_other(count):
    words = np.random.default_rng(0).integers(0, 16, (1, 6, count, 2))
    found = run(Window(2, 3, 4, count, 16), settings(0), words, (2, 3))
    expected = np.zeros((6, 2, 9), np.int64)
    expected[..., :count] = words[0].swapaxes(1, 2)
    assert found == expected.tolist() == plain(Window.model(3, settings(0), words)[0])


def test_start_begins_a_row():
    """Whatever row was left unfinished."""
    size, columns = 3, 5
    words = np.random.default_rng(1).integers(0, 16, (1, 4 * columns, 1, 1))
    chosen = settings(1, columns, 2, 2)
    dut = Window(1, size, 4, 1, 16)
    rows = [{"settings": chosen, "start": 1}, {"start": 0}]
    rows += [{"accept": 1, "first": int(n == 0), "words": [[9]]} for n in range(7)]
    rows += [{"accept": 0}] * 3 + [{"start": 1}, {"start": 0}]
    begun = len(rows)
    rows += [{"accept": 1, "first": int(n == 0), "words": w} for n, w in enumerate(words[0])]
    rows += [{"accept": 0}] * 2
    shown = Bench(dut).played(rows, ("ends", "window"))
    found = [w for end, w in list(zip(shown["ends"], shown["window"]))[begun:] if end]
    assert found == Window.model(size, chosen, words)[0].tolist()


@pytest.mark.parametrize("words", [1, 9])
def test_latency_and_conversion(words):
    """A window is there two cycles after the word that ends it."""
    dut = Window(1, 3, 4, words, 16)
    word = np.full((words, 1), 7).tolist()
    rows = [{"settings": settings(0), "start": 1}, {"start": 0}, {"accept": 1, "words": word}]
    rows += [{"accept": 0}] * 3
    shown = Bench(dut).played(rows, ("ends", "window"))
    assert shown["ends"] == [0, 0, 0, 0, 1, 0]
    assert shown["window"][4][0][0] == 7
    rtlil.convert(dut)
