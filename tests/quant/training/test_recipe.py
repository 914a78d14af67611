"""Learning rates of each schedule; what is refused."""

import pytest

from quant.errors import NoMulError
from quant.training.recipe import SCHEDULES, Recipe


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_rise_in_the_warmup_then_fall(schedule):
    recipe = Recipe(epochs=10, learning_rate=0.1, schedule=schedule, warmup=2)
    rates = [recipe.rate(done / 10) for done in range(100)]
    peak = rates.index(max(rates))
    assert peak == 20 and rates[0] == 0 and rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True) and rates[99] < 0.002


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0; give 1 or more"),
        ({"batch": 0}, "batch is 0; give 1 or more"),
        ({"learning_rate": 0.0}, "learning rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"distillation": 1.5}, "distillation is 1.5; give 0 to 1"),
        ({"schedule": "linear"}, "no schedule linear; choose one of cosine, step"),
        ({"precision": "half"}, "no precision half; choose one of float32, bfloat16"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(NoMulError, match=message):
        Recipe(**{"epochs": 1, **change})
