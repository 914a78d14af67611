"""Maps as one row, for convolutions that do not care."""

import dataclasses

from compiler.layout import FOLDED
from compiler.mapping import Convolution
from quant.graph import Window
from rtl.isa import COORDINATE

__all__ = ["flattened"]


def flattened(convolution: Convolution) -> Convolution:
    """The same convolution on a map of one row, where rows do not matter.

    That is a 1x1 convolution of every position, or one that reads the whole map at once: columns
    then fill words of sums, and words of different rows a vector.
    """
    window, (_, height, width) = convolution.window, convolution.input.stored
    pitch = convolution.input.pitch
    if height == 1 or any(window.padding) or convolution.input.unfolding != FOLDED:
        return convolution
    if height * width * pitch >= 1 << COORDINATE.width - 1:
        return convolution
    if window.kernel == (1, 1) and window.stride == (1, 1):
        kernel = (1, 1)
    elif window.kernel == (height, width) and window.dilation == (1, 1):
        kernel = (1, height * width)
    else:
        return convolution

    def flat(tensor):
        channels, rows, columns = tensor.shape
        return dataclasses.replace(tensor, shape=(channels, 1, rows * columns))

    return dataclasses.replace(
        convolution,
        weight=convolution.weight.reshape(*convolution.weight.shape[:2], *kernel),
        window=Window(kernel),
        input=flat(convolution.input),
        output=flat(convolution.output),
        residual=convolution.residual and flat(convolution.residual),
    )
