"""Padding rules of the frameworks, as explicit padding."""

from quant.graph import Window

__all__ = ["ceil_padding", "covers_input", "reads_padding", "same_padding"]


def same_padding(
    size: int, kernel: int, stride: int, dilation: int, upper: bool
) -> tuple[int, int]:
    """(before, after) along one axis so that the output has ceil(size / stride) positions.

    An odd total puts the extra position after the input if ``upper``, else before it.

    >>> same_padding(32, 3, 2, 1, upper=True)
    (0, 1)
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


def ceil_padding(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> int:
    """Positions to add after the padded input so that the output size is rounded up.

    A last window that would begin past the input and its leading padding is left out.

    >>> ceil_padding(6, 3, 2, 1, 0, 0), ceil_padding(5, 2, 2, 1, 0, 0)
    (1, 1)
    """
    span = dilation * (kernel - 1) + 1
    padded = size + before + after
    outputs = -(-(padded - span) // stride) + 1
    if (outputs - 1) * stride >= size + before:
        outputs -= 1
    return max((outputs - 1) * stride + span - padded, 0)


def axis_reads(window: Window, size: tuple[int, int]):
    """For both axes, a list of input positions (also outside of the input) per output."""
    for axis, outputs in enumerate(window.output_size(*size)):
        yield (
            size[axis],
            [
                [
                    i * window.stride[axis] - window.padding[axis] + k * window.dilation[axis]
                    for k in range(window.kernel[axis])
                ]
                for i in range(outputs)
            ],
        )


def covers_input(window: Window, size: tuple[int, int]) -> bool:
    """Whether every output position sees at least one input position."""
    return all(
        any(0 <= position < limit for position in positions)
        for limit, reads in axis_reads(window, size)
        for positions in reads
    )


def reads_padding(window: Window, size: tuple[int, int]) -> bool:
    """Whether any output position sees padding."""
    return any(
        not 0 <= position < limit
        for limit, reads in axis_reads(window, size)
        for positions in reads
        for position in positions
    )
