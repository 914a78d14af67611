"""Clipping and intervals of CLIP-Q: the worked example, shares, values, what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.errors import NoMulError
from quant.numbers import count_terms
from quant.training.partition import Partition, allowed_values, clipped

LARGE = [-1.4, -1.1, -1.0, -1.0, -0.9, -0.9, -0.9]  # sum -7.2
MIDDLE = [-0.6, -0.5, -0.4, -0.4, -0.3, -0.2]  # sum -2.4
POSITIVE = [0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.4]  # sum 6.4
SMALL = [-0.1, -0.05, -0.02, 0.03, 0.08]
EXAMPLE = torch.tensor(SMALL + LARGE + POSITIVE + MIDDLE)
"""Weights with the figures of the paper's example: of 25, 5 are clipped; the negatives in
[-1.4, -0.2] are split at -0.8; the means are -1.0286, -0.40 and 0.914."""

ANY = torch.linspace(-4, 4, 800_001)  # values finer than the tests can tell


@pytest.mark.parametrize("clip_of", ["sign", "all"])
def test_the_papers_example_of_25_weights(clip_of):
    partition = Partition(2, 0.2, clip_of)
    assert partition.negative_intervals(EXAMPLE) == 2
    found = partition.apply(EXAMPLE, 2, ANY)
    groups = {0.0: SMALL, -1.0286: LARGE, -0.4: MIDDLE, 0.9143: POSITIVE}
    for weight, value in zip(EXAMPLE.tolist(), found.tolist()):
        expected = next(mean for mean, group in groups.items() if pytest.approx(weight) in group)
        assert value == pytest.approx(expected, abs=1e-4)
    assert int((found == 0).sum()) == 5


def test_the_example_in_its_8_bit_format():
    found = Partition().apply(EXAMPLE, 2, allowed_values(5))
    assert sorted((32 * found).unique().tolist()) == [-33, -13, 0, 29]
    powers = Partition().apply(EXAMPLE, 2, allowed_values(5, terms=1))
    assert sorted((32 * powers).unique().tolist()) == [-32, -16, 0, 32]
    twice = Partition().apply(EXAMPLE, 2, allowed_values(5, terms=2))
    assert sorted((32 * twice).unique().tolist()) == [-33, -12, 0, 30]


@pytest.mark.parametrize("clip_of", ["sign", "all"])
@pytest.mark.parametrize("clip", [0.0, 0.2, 0.37, 0.9])
def test_at_least_the_share_is_clipped_and_the_nearest_to_zero(clip, clip_of):
    weight = torch.randn(7, 31, generator=torch.Generator().manual_seed(1)) + 0.4
    mask = clipped(weight, clip, clip_of)
    assert int(mask.sum()) == math.ceil(clip * weight.numel())
    for side in (weight < 0, weight > 0) if clip_of == "sign" else (weight != 0,):
        sizes, gone = weight[side].abs(), mask[side]
        if gone.any() and not gone.all():
            assert sizes[gone].max() <= sizes[~gone].min()
        if clip_of == "sign":
            assert abs(int(gone.sum()) - clip * int(side.sum())) < 1.5


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=40), st.floats(0, 0.99))
def test_of_equal_weights_the_first_are_clipped(values, clip):
    weight = torch.tensor(values, dtype=torch.float32)
    expected = weight == 0
    order = torch.argsort(weight.abs(), stable=True)
    expected[order[: math.ceil(clip * len(values) - 1e-9)]] = True
    assert torch.equal(clipped(weight, clip, "all"), expected)


def test_weights_of_one_sign_lose_their_share_too():
    weight = -torch.arange(1.0, 12.0)
    assert int(clipped(weight, 0.2, "sign").sum()) == 3


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("intervals", ["linear", "means"])
def test_values_are_few_of_the_format_and_of_the_weights_sign(bits, intervals):
    weight = torch.randn(2000, generator=torch.Generator().manual_seed(bits))
    partition = Partition(bits, 0.2, "sign", intervals)
    allowed = allowed_values(5)
    found = partition.apply(weight, partition.negative_intervals(weight), allowed)
    values = found.unique()
    assert 2 <= len(values) <= 1 << bits
    assert set(values.tolist()) <= set(allowed.tolist())
    assert (found * weight >= 0).all()
    if bits == 1:
        assert len(values) == 2


def test_nearest_means_err_less_than_equal_widths():
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(0))

    def error(intervals: str, bits: int) -> float:
        found = Partition(bits, 0.2, "sign", intervals).apply(weight, 1 << (bits - 1), ANY)
        return (found - weight).square().mean().item()

    assert error("means", 2) < 0.9 * error("linear", 2)
    assert error("means", 3) < 0.9 * error("linear", 3)
    assert error("linear", 4) < error("linear", 3) < error("linear", 2)


def test_equal_weights_and_empty_sides():
    allowed = allowed_values(5)
    alike = Partition().apply(torch.full((10,), 0.5), 1, allowed)
    assert alike.tolist() == [0.0] * 2 + [0.5] * 8
    assert Partition().apply(torch.zeros(4), 1, allowed).tolist() == [0.0] * 4


def test_values_of_the_formats():
    assert len(allowed_values(5)) == 256
    assert len(allowed_values(3, word=4)) == 16
    for terms in (1, 2):
        codes = (allowed_values(5, terms=terms) * 32).numpy().astype(int)
        assert count_terms(codes).max() == terms


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "an index of 0 bits is no codebook's; give 1 to 5"),
        ({"bits": 6}, "an index of 6 bits"),
        ({"clip": 1.0}, "clip is 1.0; give 0 or more, below 1"),
        ({"clip_of": "layer"}, "clip_of is 'layer'; choose one of: sign, all"),
        ({"intervals": "log"}, "intervals is 'log'; choose one of: linear, means"),
    ],
)
def test_partitions_that_are_refused(options, message):
    with pytest.raises(NoMulError, match=message):
        Partition(**options)


def test_formats_that_are_refused():
    with pytest.raises(NoMulError, match="word is 9; give 2 to 8 bits"):
        allowed_values(5, word=9)
    with pytest.raises(NoMulError, match="terms is 3; give 1 or 2 powers of two, or 0 for any"):
        allowed_values(5, terms=3)
