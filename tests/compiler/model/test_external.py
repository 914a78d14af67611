from dataclasses import replace

import numpy as np
import pytest

from compiler.model.compute import Engine
from compiler.model.external import (
    External,
    Grid,
    Segment,
    Widths,
    demand,
    orders_of,
    reach,
    tiled,
    tiles,
)
from compiler.model.work import workload
from tests.compiler.model.shapes import MACHINES, residual

ARCHITECTURE = MACHINES[1]
ENGINE = Engine.of(ARCHITECTURE)
WIDTHS = Widths(8.0, 12.0, 37.0)
SLOW = External(8.0, 128, 4.0, 50)


def grid(features=(256, 512, 4096), weights=(128, 1024, 16384)) -> Grid:
    pairs = np.array([(f, w) for f in features for w in weights]).T
    return Grid(np.array([64, 256]), np.array([64, 256]), *pairs)


def layers():
    for work in workload(residual(32), ARCHITECTURE).works:
        yield work, (Segment(work.channels, 2),)


@pytest.mark.parametrize("external", [SLOW, External(64.0, 1024, 7.0, 100)])
def test_bounds_and_monotony(external):
    for work, segments in layers():
        found = tiled(ENGINE, work, segments, grid(), WIDTHS, external)
        some = np.isfinite(found.cycles)
        assert some[:, -1].all()
        assert (found.cycles >= found.compute * 0.999)[some].all()
        assert (found.cycles >= found.transfer * 0.999)[some].all()
        assert (found.transfer >= found.bytes / external.bytes_per_cycle * 0.999)[some].all()
        # Larger memories are never slower.
        by_size = found.cycles.reshape(2, 3, 3)
        for axis in (0, 1, 2):
            low, high = (np.take(by_size, part, axis) for part in ([0, 1][: 1 + (axis > 0)], [-1]))
            assert (high <= low + 1e-6).all()


def test_an_endless_bandwidth_leaves_the_engine():
    free = External(1e12, 1 << 40, 0.0, 0)
    for work, segments in layers():
        found = tiled(ENGINE, work, segments, grid(), WIDTHS, free)
        some = np.isfinite(found.cycles)
        assert np.allclose(found.cycles[some], found.compute[some])


def schedule(compute, load, fetch, store, counts, spots, stay):
    """The same, step by step: engine and memory each work on one step at a time."""
    time, held = 0, (None, None)
    outer, inner = (counts, spots) if stay else (spots, counts)
    for i in range(outer):
        for j in range(inner):
            weights, part = (i, j) if stay else (j, i)
            moved = store + load * (weights != held[0]) + fetch * (part != held[1])
            if stay and j:
                moved = store + fetch
            time, held = time + max(compute, moved), (weights, part)
    return time


@pytest.mark.parametrize("compute", [1, 40, 400])
@pytest.mark.parametrize(("counts", "spots"), [(1, 5), (4, 3), (3, 1), (1, 1)])
def test_orders_take_what_their_steps_take(compute, counts, spots):
    load, fetch, store = 50, 30, 20
    stay, passing = orders_of(*np.array([compute, load, fetch, store, counts, spots]))
    # A part of the map that is the only one is fetched again with each tile that reads it.
    if spots > 1:
        assert stay == schedule(compute, load, fetch, store, counts, spots, True)
    if counts > 1:
        assert passing == schedule(compute, load, fetch, store, counts, spots, False)
    assert min(stay, passing) >= compute * counts * spots


def test_segments_begin_with_groups_of_their_own():
    work = next(w for w in workload(residual(), MACHINES[0]).works if w.owner == "b")
    (way, *_) = work.ways
    assert demand(work, way, (Segment(20, 2),)) == (3, 2.0)
    assert demand(work, way, (Segment(10, 1), Segment(10, 4))) == (4, 2.5)


def test_a_memory_that_holds_no_tile_is_too_small():
    work, segments = next(layers())
    found = tiled(ENGINE, work, segments, grid((2,), (16384,)), WIDTHS, SLOW)
    assert np.isinf(found.cycles).all()


def test_slices_load_all_weights_for_every_part_of_the_map():
    ahead = replace(SLOW, ahead=True)
    for work, segments in layers():
        if not work.ways:
            continue
        arguments = ENGINE, work, segments, grid(), WIDTHS, ahead
        whole, found = tiled(*arguments), tiled(*arguments, 4)
        assert (whole.slices == 1).all() and (found.slices == 4).all()
        some = np.isfinite(found.cycles)
        assert some[:, -1].all()
        # The sums of a tile have accumulators, of which there are 64 and 256.
        height, width, _ = work.output
        pixels = {way.pixels for way in work.ways}
        words = found.rows * -(-found.columns // max(pixels)) * found.groups
        assert (words <= np.array([[64], [256]]))[some].all()
        spots = -(-height // found.rows) * -(-width // found.columns)
        assert (found.loads >= 4 * spots)[some].all()
        assert not found.weights_stay[some].any()
        assert (found.cycles >= found.loads * found.load * 0.999)[some].all()
        best = whole.or_faster(found)
        assert np.array_equal(best.cycles, np.minimum(whole.cycles, found.cycles))
        assert (best.slices == np.where(found.cycles < whole.cycles, 4, 1)).all()


def test_short_bursts_cost_more():
    assert SLOW.efficiency == pytest.approx(16 / 20)
    whole, pieces = SLOW.cycles(np.array([4096, 4096]), np.array([1, 256]))
    assert whole == 4096 / 8 + 32 * 4 and pieces == 4096 / 8 + 256 * 4


def test_tiles_and_what_they_read():
    rows, columns, groups = tiles(7, 14, 3)
    assert {*rows} == {1, 2, 4, 7} and {*columns} == {2, 4, 7, 14} and {*groups} == {1, 3}
    assert len(rows) == 4 * 4 * 2
    assert reach(np.array([1, 4, 7]), 3, 2, 1, 14).tolist() == [3, 9, 14]
