"""Bias correction: the mean error of each output channel goes into its bias.

Quantized weights and inputs shift the mean of a convolution's output. The shift is measured on
calibration images, layer after layer, with the quantized inputs that the layer really gets, so
errors of earlier layers are corrected too.
"""

from dataclasses import replace

import numpy as np

from quant.numbers import Format
from quant.quantized import QConv
from quant.reference import accumulate

__all__ = ["correct_bias"]

IMAGES = 64  # at a time


def correct_bias(
    layer: QConv, inputs: list[np.ndarray], formats: list[Format], target: np.ndarray
) -> QConv:
    """The layer with the bias that gives its sums the mean of the float network.

    Parameters
    ----------
    layer : QConv
    inputs : list of integer arrays (images, channels, height, width)
        What it reads on calibration images.
    formats : list of Format
        Of the inputs.
    target : float64 (outputs,)
        Mean of each output channel in the float network on the same images, residual included,
        before a clip.
    """
    total = np.zeros(len(layer.bias))
    for start in range(0, len(inputs[0]), IMAGES):
        sums = accumulate(layer, [x[start : start + IMAGES] for x in inputs], formats)
        total += sums.sum(axis=(0, 2, 3), dtype=np.float64)
    mean = total / (len(inputs[0]) * layer.shape[1] * layer.shape[2])
    unit = formats[0].fraction + layer.weight_fraction
    error = np.rint(np.ldexp(target, unit) - mean).astype(np.int64)
    return replace(layer, bias=layer.bias + error)
