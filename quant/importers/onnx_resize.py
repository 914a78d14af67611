"""ONNX Resize and Upsample in nearest mode, as positions along every axis."""

from collections.abc import Sequence

import numpy as np

from quant.importers.onnx_call import Call
from quant.importers.views import Unsupported, View

__all__ = ["resize", "upsample"]


def upsample(call: Call) -> View:
    """Upsample of opset 9: every output takes the input at the floor of its place."""
    require_nearest(call)
    scales = call.constant(1).values.reshape(-1).tolist()
    return take(call, scales, None, "asymmetric", "floor")


def resize(call: Call) -> View:
    """Resize: opset 10 has (x, scales), later ones have (x, roi, scales, sizes)."""
    require_nearest(call)
    if call.opset < 11:
        return take(call, call.constant(1).values.tolist(), None, "asymmetric", "floor")
    if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("it keeps an aspect ratio; give both scales")
    rank = len(call.view(0).shape)
    axes = [axis % rank for axis in call.attribute("axes", range(rank))]
    sizes = call.optional(3)
    scales = call.optional(2)
    mode = call.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = call.attribute("nearest_mode", "round_prefer_floor")
    shape = call.view(0).shape
    if sizes is not None and sizes.values.size:
        targets = list(shape)
        for axis, size in zip(axes, sizes.values.reshape(-1).tolist(), strict=True):
            targets[axis] = int(size)
        factors = [target / size for target, size in zip(targets, shape, strict=True)]
        return take(call, factors, targets, mode, rounding)
    if scales is None or not scales.values.size:
        raise Unsupported("it has neither scales nor sizes; give one of them as a constant")
    factors = [1.0] * rank
    for axis, scale in zip(axes, scales.values.reshape(-1).tolist(), strict=True):
        factors[axis] = scale
    return take(call, factors, None, mode, rounding)


def require_nearest(call: Call) -> None:
    """Refuse interpolation."""
    mode = call.attribute("mode", "nearest")
    if mode != "nearest":
        raise Unsupported(f"it interpolates ({mode}); only nearest upsampling can be")


def take(
    call: Call,
    factors: Sequence[float],
    targets: Sequence[int] | None,
    mode: str,
    rounding: str,
) -> View:
    """The view after taking the nearest input along every axis."""
    view = call.view(0)
    if len(factors) != len(view.shape):
        raise Unsupported(f"it has {len(factors)} scales for an input of {view.shape}")
    nearest = []
    for axis, (size, factor) in enumerate(zip(view.shape, factors, strict=True)):
        outputs = (
            targets[axis] if targets is not None else int(np.float32(size) * np.float32(factor))
        )
        nearest.append(nearest_inputs(size, outputs, factor, mode, rounding))
    return view.rearranged(view.indices()[np.ix_(*nearest)], call.name)


def nearest_inputs(size: int, outputs: int, factor: float, mode: str, rounding: str) -> np.ndarray:
    """The input that each of ``outputs`` positions takes, of ``size``.

    >>> nearest_inputs(2, 4, 2.0, "half_pixel", "round_prefer_floor").tolist()
    [0, 0, 1, 1]
    """
    if outputs == size and factor == 1:
        return np.arange(size)
    # In float32 throughout, as ONNX Runtime: a rounding error decides between two neighbours.
    i, scale, half = np.arange(outputs, dtype=np.float32), np.float32(factor), np.float32(0.5)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and outputs > 1):
        x = (i + half) / scale - half
    elif mode == "pytorch_half_pixel":
        x = i * 0
    elif mode == "asymmetric":
        x = i / scale
    elif mode == "align_corners":
        x = i * np.float32(size - 1) / np.float32(max(outputs - 1, 1))
    elif mode == "half_pixel_symmetric":
        centre = np.float32(size / 2) * (1 - np.float32(outputs) / (scale * np.float32(size)))
        x = centre + (i + half) / scale - half
    else:
        raise Unsupported(f"its coordinates are {mode}; use asymmetric ones")
    rounded = {
        "round_prefer_floor": np.ceil(x - half),
        "round_prefer_ceil": np.floor(x + half),
        "floor": np.floor(x),
        "ceil": np.ceil(x),
    }
    return np.clip(rounded[rounding], 0, size - 1).astype(np.int64)
