"""The n-bit staircase: 0 and signed powers of two, one shift a weight.

J. Chen et al., "A Learning Framework for n-Bit Quantized Neural Networks Toward FPGAs", IEEE TNNLS
32(3), 2021.
"""

import torch

from quant.errors import NoMulError

__all__ = ["BITS", "increments", "level_count", "staircase"]

BITS = (1, 5)


def level_count(bits: int) -> int:
    """Sizes above 0 of ``bits``-bit weights: ``2**(bits - 1) - 1``; of 1 bit, ±1, also one.

    Errors: :class:`NoMulError` for other than 1 to 5 bits.

    >>> [level_count(bits) for bits in range(1, 6)]
    [1, 1, 3, 7, 15]
    """
    if not BITS[0] <= bits <= BITS[1]:
        raise NoMulError(f"weights of {bits} bits are no staircase; give {BITS[0]} to {BITS[1]}")
    return max((1 << (bits - 1)) - 1, 1)


def increments(levels: int) -> torch.Tensor:
    """By how much the staircase rises at each of its thresholds, the largest first: (levels,).

    >>> increments(3).tolist()
    [0.5, 0.25, 0.25]
    """
    sizes = 2.0 ** -torch.arange(levels)
    return torch.cat([sizes[:-1] - sizes[1:], sizes[-1:]])


def staircase(x: torch.Tensor, thresholds: torch.Tensor | None) -> torch.Tensor:
    """``sign(x) * 2**-i`` where ``t[i] <= abs(x) < t[i - 1]``, 0 below the last threshold.

    Parameters
    ----------
    x : tensor (outputs, ...)
        Weights in units of the largest level.
    thresholds : tensor (2, levels, outputs) or None
        Of positive weights and of negative ones, each descending. None is 1 bit: the sign, and 1
        for 0.

    >>> t = torch.tensor([0.7, 0.35, 0.1]).reshape(1, 3, 1).expand(2, 3, 1)
    >>> staircase(torch.tensor([[0.7, -0.5, -0.2, 0.05, -3.0]]), t).tolist()
    [[1.0, -0.5, -0.25, 0.0, -1.0]]
    """
    if thresholds is None:
        return torch.where(x < 0, -1.0, 1.0)
    flat = x.detach().flatten(1)
    result = torch.zeros_like(flat)
    for rise, up, down in zip(
        increments(thresholds.shape[1]).tolist(), *thresholds[..., None].unbind(0)
    ):
        result += rise * ((flat >= up).to(flat.dtype) - (flat <= -down).to(flat.dtype))
    return result.view_as(x)
