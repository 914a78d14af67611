import itertools

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.split.multiply import LOW, Multiplier, activation_operands, weight_operands
from rtl.split.parts import codes_of, fields_of, part_count, width_bits
from tests.rtl.split.feed import feed

PLACE = LOW + 1
TERMS = ("low", "high", "third", "fourth")


class Products(wiring.Component):
    """The multiplier of a code and of a field as they stand in memory."""

    width: In(2)
    code: In(32)
    field: In(32)
    low: Out(PLACE)
    high: Out(PLACE)
    third: Out(33)
    fourth: Out(36)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier(PLACE)
        weights = weight_operands(self.field, self.width)
        operands = activation_operands(self.code, self.width)
        m.d.comb += [
            multiplier.width.eq(self.width),
            *(multiplier.weights[name].eq(value) for name, value in weights.items()),
            *(multiplier.operands[name].eq(value) for name, value in operands.items()),
            *(getattr(self, term).eq(getattr(multiplier, term)) for term in TERMS),
        ]
        return m


def signed(value, bits):
    value = np.asarray(value, object)
    return value - (value >> bits - 1) * (1 << bits)


def products(width, codes, fields):
    """All products of each code and field, in order of the parts."""
    rows = [
        {"width": width, "code": code & 0xFFFFFFFF, "field": field}
        for code, field in zip(codes.tolist(), fields.tolist(), strict=True)
    ]
    found = np.array(feed(Products(), rows, TERMS, Multiplier.latency), object)
    low, high, third, fourth = found.T
    first = signed(low + high * (1 << PLACE), 2 * PLACE)
    third, fourth = signed(third, 33), signed(fourth, 36)
    if width == 0:
        return np.stack([signed(low, PLACE), signed(high, PLACE), third, fourth], axis=1)
    if width == 1:
        return np.stack([first, third], axis=1)
    # Of 32 bits the lower half's product has no sign.
    first = low + high * (1 << PLACE)
    total = third * (1 << 32) + (fourth - third - first) * (1 << 16) + first
    return total[:, None]


def check(width, codes, fields):
    weights = codes_of(fields[:, None], width, True)
    expected = codes.astype(object)[:, None] * weights.astype(object)
    assert (products(width, codes, fields) == expected).all()


def test_every_product_of_8_bits():
    """All activations with and without a sign times all weights, in each part of a field."""
    codes, weights = (part.reshape(-1) for part in np.mgrid[-128:256, -128:128])
    # The other parts have other weights, so that each borrow comes with each product.
    order = np.random.default_rng(0).permuted(np.tile(np.arange(256), (384, 1)), axis=1)
    shuffled = order.reshape(-1)
    parts = np.stack([weights, weights[::-1], -1 - weights, shuffled - 128], axis=1)
    check(0, codes, fields_of(parts, 0)[:, 0])


@pytest.mark.parametrize("width", range(3))
def test_borders_and_random_products(width):
    bits, parts = width_bits(width), part_count(width)
    half, rng = 1 << bits - 1, np.random.default_rng(width)
    high = half if width == 2 else 2 * half
    borders = [-half, -half + 1, -1, 0, 1, half // 2, half - 1, (1 << bits // 2) - 1]
    borders += [1 << bits // 2, -(1 << bits // 2), high - 1]
    weights = [w for w in borders if w < half]
    pairs = np.array(list(itertools.product(borders, weights, weights)))
    fields = np.tile(pairs[:, 1:], (1, 2))[:, :parts]
    codes = np.concatenate([pairs[:, 0], rng.integers(-half, high, 2000)])
    fields = np.concatenate([fields, rng.integers(-half, half, (2000, parts))])
    check(width, codes, fields_of(fields, width)[:, 0])


def test_conversion():
    rtlil.convert(Multiplier(PLACE))
