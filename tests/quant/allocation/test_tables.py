import numpy as np
import pytest

from quant.allocation.tables import KINDS, WIDTHS, sizes
from quant.errors import NoMulError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_sizes_fill_their_width(kind, bits):
    table = sizes(kind, bits)
    assert table[0] == 0 and (np.diff(table) > 0).all()
    half = 1 << bits - 1
    assert half - 1 <= len(table) <= half
    octaves = table[-1] * np.array([1, 2])
    assert octaves[0] < 1 << 11


def test_log_sizes_divide_octaves_evenly():
    for bits in (6, 7, 8):
        table = sizes("log", bits)
        top = table[table >= 1 << int(np.log2(table[-1]))]
        assert len(top) == 1 << bits - 4
        assert np.ptp(np.diff(top)) == 0


def test_what_cannot_be():
    with pytest.raises(NoMulError, match="no weights of kind 'cubic'; choose one of: uniform, log"):
        sizes("cubic", 3)
    with pytest.raises(NoMulError, match="a weight has 2 to 8 bits, not 9"):
        sizes("log", 9)
