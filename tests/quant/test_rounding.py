"""Which layers round stochastically, and with which seeds."""

import numpy as np
import pytest

from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QMaxPool, QRequantize
from quant.rounding import Rounding

FORMAT = Format(8, True, 0)
ROUNDS = QRequantize("y", ("x",), (1, 1, 1), FORMAT, -128, 127, left=0, shift=2)
POOL = QMaxPool("z", ("y",), (1, 1, 1), FORMAT, -128, 127, Window())


def test_layers_get_seeds_of_their_own():
    made = [Rounding("stochastic", 7).apply(ROUNDS) for _ in range(2)]
    assert made[0] == made[1]
    rounding = Rounding("stochastic", 7)
    seeds = [rounding.apply(ROUNDS).seed for _ in range(100)]
    assert len(set(seeds)) == 100 and seeds[0] == made[0].seed
    assert min(seeds) >= 1 and max(seeds) < 1 << 32
    assert np.mean(np.array(seeds) >> 31) == pytest.approx(0.5, abs=0.2)
    assert Rounding("stochastic", 8).apply(ROUNDS).seed != seeds[0]


def test_others_stay_as_they_are():
    assert Rounding("even", 7).apply(ROUNDS) is ROUNDS
    assert Rounding("stochastic", 7).apply(POOL) is POOL


def test_unknown_roundings_are_refused():
    with pytest.raises(NoMulError, match="no rounding 'up'; choose one of even, stochastic"):
        Rounding("up", 1)
    with pytest.raises(NoMulError, match="the seed of the rounding is -1; give 0 or more"):
        Rounding("stochastic", -1)
