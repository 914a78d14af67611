"""Codebooks found in weights, packed indices, sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.codebooks import Size, find_codebook, pack, unpack


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 70), st.randoms(use_true_random=False))
def test_packed_indices_come_back(bits, count, random):
    indices = np.array([random.randrange(1 << bits) for _ in range(count)], np.uint8)
    stream = pack(indices, bits)
    assert len(stream) == -(-count * bits // 8)
    assert np.array_equal(unpack(stream, bits, count), indices)


def test_an_index_that_is_too_wide_is_refused():
    with pytest.raises(ValueError, match="index 4 has more than 2 bits"):
        pack(np.array([1, 4]), 2)


def coded(seed: int, bits: int, outputs: int = 8) -> np.ndarray:
    """Weights of one codebook, each channel times a power of two."""
    random = np.random.default_rng(seed)
    book = random.choice(np.arange(-127, 128), (1 << bits) - 1, replace=False)
    codes = random.choice(np.append(book, 0), (outputs, 5, 3, 3))
    return np.ldexp(codes.astype(np.float32), random.integers(-12, 3, (outputs, 1, 1, 1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_codebook_is_found_through_the_powers_of_two_of_channels(seed, bits):
    weight = coded(seed, bits)
    found = find_codebook(weight, bits)
    assert found is not None
    assert np.array_equal(found.values, weight)
    assert found.codebook[0] == 0 and (np.diff(found.codebook[1:]) > 0).all()
    assert found.bits <= bits and set(np.unique(found.codes)) <= set(found.codebook)
    assert found.codebook.min() >= -128 and found.codebook.max() <= 127
    assert found.zeros == (weight == 0).sum()


def test_values_use_all_of_their_8_bits():
    found = find_codebook(np.array([[0.5, 0.25], [-0.5, 0.0]]))
    assert found is not None
    assert found.codebook.tolist() == [0, -64, 32, 64] and found.fraction.tolist() == [7, 7]


def test_channels_with_few_values_are_shifted_onto_the_others():
    weight = [[6.0, 0.0], [3.0, -5.0], [0.0, 0.0], [-40.0, -40.0], [7000.0, 7000.0]]
    found = find_codebook(np.array(weight), 2)
    assert found is None  # 7000 is 875 * 8, and 875 has 10 bits
    weight[-1] = [7168.0, 7168.0]  # 7 * 1024
    found = find_codebook(np.array(weight), 2)
    assert found is not None
    assert found.codebook.tolist() == [0, -80, 48, 112]
    assert np.array_equal(found.values, weight)


@pytest.mark.parametrize(
    ("weight", "bits"),
    [
        ([[1.0, 2.0, 3.0, 5.0]], 2),  # four values
        ([[1.0, 3.0], [5.0, 7.0]], 2),  # four of two channels
        ([[1.0, 256.0]], 2),  # 9 bits
        ([[1 / 3, 1.0]], 5),  # no short number
    ],
)
def test_other_weights_have_none(weight, bits):
    assert find_codebook(np.array(weight), bits) is None


def test_sizes_of_layers_add_up():
    weight = np.where(np.arange(1000).reshape(10, 100) % 5 == 0, 0.0, 0.5)
    found = find_codebook(weight)
    assert found is not None
    assert found.size == Size(1000, 200, index_bytes=125, codebook_bytes=1, fraction_bytes=10)
    total = Size.total([found.size, Size(3, 1, 1, 3, 1)])
    assert total == Size(1003, 201, 126, 4, 11)
    assert total.bytes == 141 and total.compression == pytest.approx(4 * 1003 / 141)
