"""Where the staircase steps, and how large its largest level is: rules by name.

A rule is a function ``(weights, bits, exponent) -> Fit``: weights are (outputs, inputs) of a layer,
``exponent`` (outputs,) fixes the scales or is None, and then the rule chooses them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from quant.errors import NoMulError
from quant.training.staircase import increments, level_count, staircase

__all__ = ["RULES", "Fit", "find_rule", "nearest", "published", "same_moments"]

PUBLISHED_TOP = 0.14  # times the largest weight: the public code's, for 3 bits 0.14, 0.07, 0.02
PUBLISHED_LAST = 4 / 7  # the lowest threshold, in terms of half the one above it
FINER, COARSER = 4, 1  # octaves of the scale, from that of the largest weight, that are tried
HALVINGS = 16  # of the 12 octaves where factors are sought


@dataclass(frozen=True)
class Fit:
    """A staircase for the weights of a layer.

    Parameters
    ----------
    exponent : tensor (outputs,)
        The largest level of an output channel is ``2**exponent``.
    thresholds : tensor (2, levels, outputs) or None
        In units of the largest level, as :func:`~quant.training.staircase.staircase` takes them.
    """

    exponent: torch.Tensor
    thresholds: torch.Tensor | None

    def apply(self, weights: torch.Tensor) -> torch.Tensor:
        """Quantized weights (outputs, inputs)."""
        scale = torch.exp2(self.exponent)[:, None]
        return scale * staircase(weights / scale, self.thresholds)

    def error(self, weights: torch.Tensor) -> torch.Tensor:
        """Squared error of each output channel: (outputs,)."""
        return (self.apply(weights) - weights).square().sum(1)


def published(weights: torch.Tensor, bits: int, exponent: torch.Tensor | None = None) -> Fit:
    """Thresholds as the public code has them: 0.14, 0.07 and 0.02 of the layer's largest weight.

    The code is for 3 bits. For other numbers we go on as it begins, each threshold half the one
    above it and the last 4/7 of that half; the paper does not say it. The code leaves the scale to
    batch norm; here it is the power of two nearest to that of least squares.
    """
    count = level_count(bits)
    shape = PUBLISHED_TOP * 2.0 ** -torch.arange(count)
    shape[-1] *= PUBLISHED_LAST
    limits = (shape * weights.abs().max())[None, :, None].expand(2, count, len(weights))
    if exponent is None:
        exponent = _least_squares(weights, staircase(weights, limits if bits > 1 else None))
    return Fit(exponent, limits / torch.exp2(exponent) if bits > 1 else None)


def same_moments(weights: torch.Tensor, bits: int, exponent: torch.Tensor | None = None) -> Fit:
    """Thresholds with which quantized weights have the mean and the variance of the weights.

    Per output channel. Thresholds are those of nearest rounding times a factor for positive and
    one for negative weights; the two factors are what solves the two equations, up to what one
    weight changes. Of the scales, powers of two, the one of least squared error is taken. With one
    bit nothing can be chosen but the scale.
    """
    if bits == 1:
        sign = staircase(weights, None)
        return Fit(_least_squares(weights, sign) if exponent is None else exponent, None)
    if exponent is not None:
        return _match(weights, exponent, level_count(bits))
    return _least_error(weights, lambda tried: _match(weights, tried, level_count(bits)))


def nearest(weights: torch.Tensor, bits: int, exponent: torch.Tensor | None = None) -> Fit:
    """Thresholds halfway between levels: the least error of each weight, at any given scale.

    Of the scales, powers of two, the one of least squared error is taken.
    """
    if bits == 1:
        return same_moments(weights, bits, exponent)
    limits = _halfway(level_count(bits))[None].expand(2, -1, len(weights))
    if exponent is not None:
        return Fit(exponent, limits)
    return _least_error(weights, lambda tried: Fit(tried, limits))


Rule = Callable[[torch.Tensor, int, torch.Tensor | None], Fit]

RULES: dict[str, Rule] = {"code": published, "moments": same_moments, "nearest": nearest}


def find_rule(name: str) -> Rule:
    """The rule of a name. Errors: :class:`NoMulError` that lists the known names."""
    if name not in RULES:
        raise NoMulError(f"no thresholds {name!r}; choose one of: {', '.join(RULES)}")
    return RULES[name]


def _least_squares(weights: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Exponent of the power of two nearest, in octaves, to the best scale of codes: (outputs,)."""
    power = codes.square().sum(1)
    scale = (weights * codes).sum(1) / torch.where(power > 0, power, torch.ones_like(power))
    return torch.round(torch.log2(torch.where(scale > 0, scale, torch.ones_like(scale))))


def _least_error(weights: torch.Tensor, fit: Callable[[torch.Tensor], Fit]) -> Fit:
    """Of the fits at several scales, the one of least squared error for each output channel."""
    largest = weights.abs().amax(1)
    start = torch.floor(torch.log2(torch.where(largest > 0, largest, torch.ones_like(largest))))
    fits = [fit(start + offset) for offset in range(-FINER, COARSER + 1)]
    best = torch.stack([fit.error(weights) for fit in fits]).argmin(0)
    channel = torch.arange(len(weights))
    exponent = torch.stack([fit.exponent for fit in fits])[best, channel]
    thresholds = torch.stack([fit.thresholds for fit in fits if fit.thresholds is not None])
    return Fit(exponent, thresholds[best, :, :, channel].permute(1, 2, 0))


def _halfway(count: int) -> torch.Tensor:
    """Thresholds of nearest rounding, (levels, 1)."""
    levels = 2.0 ** -torch.arange(count)
    return torch.cat([0.75 * levels[:-1], 0.5 * levels[-1:]])[:, None]


def _match(weights: torch.Tensor, exponent: torch.Tensor, count: int) -> Fit:
    """Thresholds of the same moments at a given scale.

    A larger factor makes fewer weights large, so sums of sizes and of squares fall with it. For
    each positive factor, bisection gives the negative one with the right mean; both factors then
    rise together, and an outer bisection finds where the squares are right.
    """
    x = weights / torch.exp2(exponent)[:, None]
    sides = [_Side(torch.where(x > 0, x, 0.0), count), _Side(torch.where(x < 0, -x, 0.0), count)]
    mean, square = x.sum(1), x.square().sum(1)

    def negative(up: torch.Tensor) -> torch.Tensor:
        wanted = sides[0].total(up) - mean
        return _bisect(lambda factor: sides[1].total(factor) > wanted, mean)

    def excess(up: torch.Tensor) -> torch.Tensor:
        return sides[0].squares(up) + sides[1].squares(negative(up)) > square

    up = _bisect(excess, mean)
    thresholds = torch.stack([sides[0].thresholds(up), sides[1].thresholds(negative(up))])
    return Fit(exponent, thresholds)


def _bisect(too_large: Callable[[torch.Tensor], torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """The factor of each channel, 1/64 to 64, at which ``too_large`` turns false."""
    low, high = torch.full_like(like, -6.0), torch.full_like(like, 6.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        more = too_large(torch.exp2(middle))
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return torch.exp2(high)


class _Side:
    """Weights of one sign, by size, and the sums of their staircase for any factor."""

    def __init__(self, sizes: torch.Tensor, count: int) -> None:
        self.sizes = sizes.sort(1).values
        self.nearest = _halfway(count)
        self.rise = increments(count)[:, None]
        squares = 4.0 ** -torch.arange(count)
        self.rise_of_squares = torch.cat([squares[:-1] - squares[1:], squares[-1:]])[:, None]

    def thresholds(self, factor: torch.Tensor) -> torch.Tensor:
        """(levels, outputs)."""
        return self.nearest * factor

    def _reached(self, factor: torch.Tensor) -> torch.Tensor:
        """How many weights reach each threshold: (levels, outputs)."""
        limits = self.thresholds(factor).T.contiguous()
        return (self.sizes.shape[1] - torch.searchsorted(self.sizes, limits)).T

    def total(self, factor: torch.Tensor) -> torch.Tensor:
        return (self.rise * self._reached(factor)).sum(0)

    def squares(self, factor: torch.Tensor) -> torch.Tensor:
        return (self.rise_of_squares * self._reached(factor)).sum(0)
