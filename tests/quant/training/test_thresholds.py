"""Rules for thresholds: the published numbers, and equal mean and variance."""

import pytest
import torch

from quant.errors import NoMulError
from quant.training.staircase import level_count
from quant.training.thresholds import RULES, find_rule, published, same_moments


def weights(outputs: int = 8, inputs: int = 576) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    scale = torch.logspace(-2, 0, outputs)[:, None]
    return scale * (torch.randn(outputs, inputs, generator=generator) + 0.1)


def test_published_thresholds_of_three_bits():
    w = weights()
    fit = published(w, 3)
    assert fit.thresholds is not None
    limits = fit.thresholds * torch.exp2(fit.exponent)
    for share, limit in zip((0.14, 0.07, 0.02), limits.unbind(1), strict=True):
        torch.testing.assert_close(limit, torch.full_like(limit, share * w.abs().max().item()))


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_quantized_weights_have_mean_and_variance_of_the_weights(bits):
    w = weights()
    q = same_moments(w, bits).apply(w)
    # One weight that changes level moves the moments by a level over the number of weights.
    unit = q.abs().amax(1) / w.shape[1]
    assert ((q.mean(1) - w.mean(1)).abs() <= 2 * unit).all()
    variance, wanted = q.var(1, correction=0), w.var(1, correction=0)
    assert ((variance - wanted).abs() <= 4 * unit * q.abs().amax(1)).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_scales_are_powers_of_two_and_levels_those_of_the_width(rule, bits):
    w = weights()
    fit = find_rule(rule)(w, bits, None)
    assert (fit.exponent == fit.exponent.round()).all()
    codes = (fit.apply(w) / torch.exp2(fit.exponent)[:, None]).abs().unique()
    allowed = [2.0**-i for i in range(level_count(bits))] + ([] if bits == 1 else [0.0])
    assert set(codes.tolist()) <= set(allowed)
    if fit.thresholds is not None:
        assert (fit.thresholds.diff(dim=1) < 0).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_given_scale_is_kept(rule):
    w = weights()
    exponent = torch.zeros(len(w))
    assert (find_rule(rule)(w, 3, exponent).exponent == exponent).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bits", [1, 3])
def test_a_channel_without_weights_stays_finite(rule, bits):
    w = weights()
    w[2] = 0
    q = find_rule(rule)(w, bits, None).apply(w)
    assert q.isfinite().all()
    if bits > 1:
        assert (q[2] == 0).all()


def test_the_scale_of_least_error_is_taken():
    w = weights()
    fit = same_moments(w, 3)
    for offset in (-1, 1):
        other = same_moments(w, 3, fit.exponent + offset)
        assert (other.error(w) >= fit.error(w)).all()


def test_unknown_rules_are_refused():
    with pytest.raises(NoMulError, match="no thresholds 'best'; choose one of: code, moments"):
        find_rule("best")
