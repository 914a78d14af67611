from compiler.tiling.bandwidth import PIECE, Bandwidth
from rtl.registers import Region

WEIGHTS = Region.WEIGHTS
BEATS = {WEIGHTS: 2, Region.FEATURES: 1}


def test_pieces_go_where_there_is_time():
    bandwidth = Bandwidth([1000, 10, 600], BEATS, rate=0.5)
    bandwidth.move(1, Region.FEATURES, 300)
    # Of slot 1 there are 200 beats left, of slot 2 fewer than a piece's, of slot 3 all 300.
    assert bandwidth.divide(WEIGHTS, 200, 1, 4) == [(1, 100), (3, 100)]
    assert bandwidth.spare == [0, 0, 5, 100]


def test_what_there_is_no_time_for_comes_first():
    bandwidth = Bandwidth([400, 400], BEATS, rate=1.0)
    assert bandwidth.divide(WEIGHTS, 500, 0, 3) == [(0, 100), (1, 200), (2, 200)]
    assert bandwidth.divide(WEIGHTS, PIECE, 1, 3) == [(1, PIECE)]


def test_a_small_rest_is_a_piece_too():
    bandwidth = Bandwidth([2 * PIECE, 400], BEATS, rate=1.0)
    words = PIECE + 3
    assert bandwidth.divide(WEIGHTS, words, 1, 3) == [(1, PIECE), (2, 3)]
