"""Integer numbers: formats, rounding, saturation, requantization, and terms of powers of two.

Everything that must agree between training, reference, compiler, simulators and hardware is
defined here once, in pure numpy, on integers.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Format",
    "canonical_digits",
    "count_terms",
    "decode_terms",
    "dequantize",
    "encode_terms",
    "from_terms",
    "quantize",
    "requantize",
    "requantize_float",
    "round_shift",
    "saturate",
    "to_log",
    "to_terms",
]


@dataclass(frozen=True)
class Format:
    """Fixed-point format of a tensor: value = code * 2**-fraction.

    Parameters
    ----------
    bits : int
        Width of a code, 2 to 32.
    signed : bool
        Two's complement codes, or codes from zero up.
    fraction : int
        Position of the radix point; may be negative or larger than ``bits``.
    logarithmic : bool
        Every code is one that :func:`to_log` gives, so that a machine may hold it as an exponent
        and one more bit. Only of unsigned codes.

    >>> Format(8, True, 5).low, Format(8, True, 5).high
    (-128, 127)
    >>> Format(8, False, 0).high, Format(8, False, 0, logarithmic=True).high
    (255, 192)
    """

    bits: int
    signed: bool
    fraction: int
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 32:
            raise ValueError(f"a format has 2 to 32 bits, not {self.bits}")
        if self.logarithmic and self.signed:
            raise ValueError("a logarithmic format is unsigned, this one is signed")

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        if self.logarithmic:
            return 3 << (self.bits - 2)
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def step(self) -> float:
        """Value of one unit, 2**-fraction."""
        return 2.0**-self.fraction

    def holds(self, codes: np.ndarray) -> bool:
        """Whether every code lies in ``low .. high`` and, if logarithmic, is one of its codes."""
        if codes.size == 0:
            return True
        within = codes.min() >= self.low and codes.max() <= self.high
        return bool(within and (not self.logarithmic or np.array_equal(to_log(codes), codes)))


def saturate(x: np.ndarray, low: int, high: int) -> np.ndarray:
    """Clamp codes into ``low .. high``.

    >>> saturate(np.array([-300, 5, 300]), -128, 127).tolist()
    [-128, 5, 127]
    """
    return np.clip(x, low, high)


def round_shift(x: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """``x / 2**shift`` rounded to the nearest integer, ties to the even one.

    ``x`` is an integer array (int64 keeps every intermediate exact), ``shift >= 0`` broadcasts.

    >>> round_shift(np.array([1, 2, 3, 5, 6, 7, -1, -2, -3]), 1).tolist()
    [0, 1, 2, 2, 3, 4, 0, -1, -2]
    """
    x = np.asarray(x, np.int64)
    shift = np.asarray(shift, np.int64)
    if (shift < 0).any():
        raise ValueError(f"a requantization shifts right by 0 or more, not {int(shift.min())}")
    floor = x >> shift
    rest = x - (floor << shift)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 1)
    up = (rest > half) | ((rest == half) & (floor & 1 == 1))
    return floor + np.where(shift > 0, up, False)


def requantize(x: np.ndarray, shift: np.ndarray | int, low: int, high: int) -> np.ndarray:
    """Accumulator to code: ``saturate(round_shift(x, shift), low, high)``.

    With power-of-two scales this equals the requantization of torch's quantized kernels and of
    ONNX Runtime's QLinearConv.

    >>> requantize(np.array([1000, -1000, 24]), 4, -64, 63).tolist()
    [62, -62, 2]
    >>> requantize(np.array([1000, 1032, -1000]), 4, 0, 63).tolist()
    [62, 63, 0]
    """
    return saturate(round_shift(x, shift), low, high)


def requantize_float(x: np.ndarray, shift: np.ndarray | int, low: int, high: int) -> np.ndarray:
    """:func:`requantize` of integers held in a floating-point array, in place and fast.

    Equal to it for every integer that the type holds exactly, that is up to 2**24 in float32 and
    2**53 in float64: scaling by a power of two is exact there, and ``rint`` rounds ties to even.

    >>> requantize_float(np.array([24.0, 40.0, -1000.0]), 4, -64, 63).tolist()
    [2.0, 2.0, -62.0]
    """
    np.multiply(x, np.ldexp(x.dtype.type(1), -np.asarray(shift)), out=x)
    np.rint(x, out=x)
    return np.clip(x, low, high, out=x)


def to_log(codes: np.ndarray) -> np.ndarray:
    """Codes 0 or up as the nearest of 0, 2**k and 3 * 2**k, ties to the larger: int64.

    That is the leading one and the bit below it, rounded by the bit below that: where ``b`` are the
    two bits after the leading one, the size in units of the leading one is 1 for ``b`` = 0, 1.5 for
    1 and 2, and 2 for 3. Errors: ``ValueError`` for a negative code.

    >>> to_log(np.array([0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 14, 223])).tolist()
    [0, 1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 16, 192]
    """
    codes = np.asarray(codes)
    if codes.size and codes.min() < 0:
        raise ValueError(f"a code of a logarithm is 0 or more, not {int(codes.min())}")
    mantissa, exponent = np.frexp(codes.astype(np.float64))  # mantissa 0.5 .. 1
    return np.ldexp(np.floor(mantissa * 4 + 0.5), exponent - 2).astype(np.int64)


def quantize(values: np.ndarray, fmt: Format) -> np.ndarray:
    """Nearest codes of real values, ties to even, saturated: int64.

    Of a logarithmic format they go on through :func:`to_log`, as a machine's sums do.

    >>> quantize(np.array([0.5, 0.25, -9.0]), Format(4, True, 1)).tolist()
    [1, 0, -8]
    """
    scaled = np.ldexp(np.asarray(values, np.float64), fmt.fraction)
    codes = np.clip(np.rint(scaled), fmt.low, fmt.high).astype(np.int64)
    return to_log(codes) if fmt.logarithmic else codes


def dequantize(codes: np.ndarray, fraction: np.ndarray | int) -> np.ndarray:
    """Real values of codes: ``codes * 2**-fraction`` in float64.

    >>> dequantize(np.array([3, -8]), 1).tolist()
    [1.5, -4.0]
    """
    return np.ldexp(np.asarray(codes, np.float64), -np.asarray(fraction))


def canonical_digits(weights: np.ndarray) -> np.ndarray:
    """Canonical signed digits (non-adjacent form) of integers, least significant first.

    Returns int8 of shape ``weights.shape + (digits,)`` with values -1, 0, 1 and
    ``sum(d[i] * 2**i) == weights``. No form of an integer has fewer non-zero digits.

    >>> canonical_digits(np.array([7])).tolist()
    [[-1, 0, 0, 1]]
    """
    w = np.asarray(weights, np.int64).copy()
    span = int(np.abs(w).max(initial=0)).bit_length() + 1
    digits = np.zeros((*w.shape, span), np.int8)
    for i in range(span):
        odd = (w & 1) == 1
        digit = np.where(odd, 2 - (w & 3), 0)
        digits[..., i] = digit
        w = (w - digit) >> 1
    return digits


def count_terms(weights: np.ndarray) -> np.ndarray:
    """Fewest powers of two that sum to each weight.

    >>> count_terms(np.array([0, 1, -8, 7, 85, -128])).tolist()
    [0, 1, 1, 2, 4, 1]
    """
    return np.count_nonzero(canonical_digits(weights), axis=-1)


def to_terms(weights: np.ndarray, windows: list[tuple[int, int]]) -> np.ndarray | None:
    """Split integer weights into one signed power of two a pass.

    A machine's pass ``p`` can apply 0 or ±2**e with ``low <= e <= high`` for
    ``windows[p] == (low, high)``. Canonical digits are dealt to the passes, the most constrained
    pass first.

    Parameters
    ----------
    weights : ndarray of int
    windows : list of (low, high)
        Exponents that each pass offers.

    Returns
    -------
    int64 array of shape ``(len(windows),) + weights.shape``, each element 0 or ±2**e, whose sum
    over the first axis is ``weights``; None where the digits do not fit these windows.

    >>> to_terms(np.array([7, -2, 0]), [(0, 3), (0, 3)]).tolist()
    [[-1, -2, 0], [8, 0, 0]]
    >>> to_terms(np.array([5]), [(0, 6)]) is None
    True
    """
    digits = canonical_digits(weights).astype(np.int64)
    parts = np.zeros((len(windows), *digits.shape[:-1]), np.int64)
    free = np.ones(parts.shape, bool)
    for exponent in range(digits.shape[-1]):
        digit = digits[..., exponent]
        pending = digit != 0
        # The pass whose window closes first takes the digit: later digits are larger.
        for p in sorted(range(len(windows)), key=lambda p: (windows[p][1], p)):
            low, high = windows[p]
            if not low <= exponent <= high:
                continue
            take = pending & free[p]
            parts[p][take] = (digit << exponent)[take]
            free[p] &= ~take
            pending &= ~take
        if pending.any():
            return None
    return parts


def from_terms(terms: np.ndarray) -> np.ndarray:
    """Sum of terms over the first axis, the inverse of :func:`to_terms`.

    >>> from_terms(np.array([[-1, -2], [8, 0]])).tolist()
    [7, -2]
    """
    return np.asarray(terms, np.int64).sum(axis=0)


def encode_terms(terms: np.ndarray, bits: int) -> np.ndarray:
    """Terms 0 or ±2**e as the codes that a shift lane decodes.

    A code has its sign in bit ``bits - 1`` and 0 for zero or ``e + 1`` below it, so ``bits``
    bits hold the exponents ``0 .. 2**(bits - 1) - 2``. Errors: ``ValueError`` for a value that
    is no such term.

    >>> encode_terms(np.array([0, 1, -64]), 4).tolist()
    [0, 1, 15]
    """
    terms = np.asarray(terms, np.int64)
    size = np.abs(terms)
    code = np.zeros_like(size)
    for exponent in range((1 << (bits - 1)) - 1):
        code[size == (1 << exponent)] = exponent + 1
    if ((code == 0) & (size != 0)).any():
        wrong = int(terms[(code == 0) & (size != 0)].flat[0])
        raise ValueError(f"{wrong} is no term of a {bits}-bit code (0, ±1 .. ±{1 << exponent})")
    return code | ((terms < 0).astype(np.int64) << (bits - 1))


def decode_terms(codes: np.ndarray, bits: int) -> np.ndarray:
    """Inverse of :func:`encode_terms`.

    >>> decode_terms(np.array([0, 1, 15]), 4).tolist()
    [0, 1, -64]
    """
    codes = np.asarray(codes, np.int64)
    code = codes & ((1 << (bits - 1)) - 1)
    size = np.where(code == 0, 0, np.int64(1) << np.maximum(code - 1, 0))
    return np.where(codes >> (bits - 1) & 1 == 1, -size, size)
