"""Float steps to quantized layers: shifts, bias codes and fractions that a machine can do.

A machine only shifts right after a sum. Where the wished output fraction ``f_y`` would need a left
shift, nothing finer than the sum's own unit exists, and the output takes that unit: its fraction
is lowered to the largest that the sum has. For a convolution, whose unit differs by output channel,
a channel's weight codes are first shifted left (exactly) while they stay within the codes of the
layer's largest channel, so that one coarse channel does not cost the others' precision.
"""

from dataclasses import replace

import numpy as np

from quant.fusion import Step
from quant.graph import Add, AvgPool, Clip, Concat, Conv, MaxPool, Upsample
from quant.numbers import Format, quantize, round_shift
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConcat,
    QConv,
    QLayer,
    QMaxPool,
    QRequantize,
    QUpsample,
)
from quant.widths import Sums

__all__ = ["lower_conv", "lower_step", "requantizer"]

MULTIPLIER_BITS = 8


def lower_conv(
    step: Step,
    formats: list[Format],
    wish: Format,
    codes: np.ndarray,
    fraction: np.ndarray,
    scheme: str,
    limits: Sums,
) -> QConv | None:
    """The convolution of a step; None if its residual is finer than its sum's unit.

    Parameters
    ----------
    step : Step
    formats : list of Format
        Of the step's inputs.
    wish : Format
        The output's; its fraction is lowered where the sum has no such fine unit.
    codes, fraction : int32 arrays
        Weights as quantized; made coarser in channels whose sums or shifts would exceed the limits.
    scheme : str
    limits : Sums
    """
    conv = step.layer
    assert isinstance(conv, Conv)
    bias = conv.bias.astype(np.float64)
    f_x, f_y = formats[0].fraction, wish.fraction
    needed = f_y if step.add is None else max(f_y, formats[1].fraction)
    codes, fraction = codes.astype(np.int64), fraction.astype(np.int64)

    # A channel without weights is its bias (and residual): any unit does.
    peak = np.abs(codes).reshape(len(codes), -1).max(axis=1)
    fraction = np.where(peak > 0, fraction, needed - f_x + MULTIPLIER_BITS)

    sizes = [max(-fmt.low, fmt.high) for fmt in formats]
    others = np.abs(bias) + (sizes[1] * formats[1].step if step.add is not None else 0.0)

    def headroom() -> np.ndarray:
        """Bits by which sums may grow, below 0 where they exceed the limit: int64 (outputs,)."""
        sums = np.abs(codes).reshape(len(codes), -1).sum(axis=1) * float(sizes[0])
        bound = sums + np.ldexp(others, f_x + fraction)
        return limits.bits - 1 - np.ceil(np.log2(np.maximum(bound, 1.0))).astype(np.int64)

    excess = np.maximum(-headroom(), f_x + fraction - f_y - limits.shift)
    excess = np.maximum(excess, 0)
    codes = round_shift(codes, excess[:, None, None, None])
    fraction = fraction - excess

    peak = np.abs(codes).reshape(len(codes), -1).max(axis=1)
    room = np.floor(np.log2(max(int(peak.max()), 1) / np.maximum(peak, 1))).astype(np.int64)
    room = np.minimum(room, np.maximum(headroom(), 0))
    raised = np.clip(needed - f_x - fraction, 0, room)
    codes = codes << raised[:, None, None, None]
    fraction = fraction + raised

    unit = f_x + fraction
    residual_shift = np.zeros_like(unit)
    if step.add is not None:
        residual_shift = unit - formats[1].fraction
        if residual_shift.min() < 0:
            return None
    fmt = replace(wish, fraction=min(f_y, int(unit.min())))
    low, high = clip_codes(step, fmt)
    return QConv(
        name=step.name,
        inputs=step.inputs,
        shape=conv.shape,
        format=fmt,
        low=low,
        high=high,
        weight=codes.astype(np.int32),
        weight_fraction=fraction.astype(np.int32),
        bias=np.rint(np.ldexp(bias, unit)).astype(np.int64),
        shift=(unit - fmt.fraction).astype(np.int32),
        residual_shift=residual_shift.astype(np.int32),
        window=conv.window,
        groups=conv.groups,
        scheme=scheme,
    )


def lower_step(step: Step, formats: list[Format], wish: Format) -> QLayer:
    """The quantized layer of a step that is no convolution.

    The inputs of a concatenation must already have the format ``wish``.
    """
    layer = step.layer
    fractions = [fmt.fraction for fmt in formats]
    kind: type[QLayer]
    extra: dict
    match layer:
        case MaxPool():
            fmt, kind, extra = formats[0], QMaxPool, {"window": layer.window}
        case Upsample():
            fmt, kind, extra = formats[0], QUpsample, {"factor": layer.factor}
        case Concat():
            fmt, kind, extra = wish, QConcat, {}
        case AvgPool():
            multiplier, scale = reciprocal(layer.window.positions)
            fmt, shift = coarsen(wish, scale + fractions[0])
            kind = QAvgPool
            extra = {"window": layer.window, "multiplier": multiplier, "shift": shift}
        case Add():
            common = max(fractions)
            fmt, shift = coarsen(wish, common)
            kind = QAdd
            extra = {"shifts": (common - fractions[0], common - fractions[1]), "shift": shift}
        case Clip():
            return requantizer(step.name, step.inputs[0], layer.shape, formats[0], wish, step)
        case _:
            raise TypeError(
                f"{layer.name} is a {type(layer).__name__}, which has no quantized form"
            )
    low, high = clip_codes(step, fmt)
    return kind(step.name, step.inputs, layer.shape, fmt, low, high, **extra)


def requantizer(
    name: str,
    tensor: str,
    shape: tuple[int, int, int],
    source: Format,
    target: Format,
    clip: Step | None = None,
) -> QRequantize:
    """The layer that brings a tensor from one format to another, clipped as ``clip`` says."""
    change = target.fraction - source.fraction
    low, high = clip_codes(clip, target) if clip else (target.low, target.high)
    return QRequantize(
        name, (tensor,), shape, target, low, high, left=max(change, 0), shift=max(-change, 0)
    )


def clip_codes(step: Step, fmt: Format) -> tuple[int, int]:
    """Smallest and largest code of a step's output."""
    low, high = quantize(np.array(step.bounds), fmt)
    return int(low), int(high)


def coarsen(wish: Format, unit: int) -> tuple[Format, int]:
    """The output format of a sum in units of ``2**-unit`` and the right shift to it."""
    fmt = replace(wish, fraction=min(wish.fraction, unit))
    return fmt, unit - fmt.fraction


def reciprocal(positions: int) -> tuple[int, int]:
    """``(m, s)`` with ``m * 2**-s`` nearest to ``1 / positions``, m odd or 1 and below 2**8.

    >>> reciprocal(64), reciprocal(49), reciprocal(9)
    ((1, 6), (167, 13), (57, 9))
    """
    shift = MULTIPLIER_BITS + positions.bit_length() - 1
    multiplier = round((1 << shift) / positions)
    if multiplier >= 1 << MULTIPLIER_BITS:
        shift -= 1
        multiplier = round((1 << shift) / positions)
    while multiplier % 2 == 0:
        multiplier //= 2
        shift -= 1
    return multiplier, shift
