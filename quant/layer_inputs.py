"""What a convolution reads on calibration images, for quantizers that look at their data."""

from dataclasses import dataclass

import numpy as np

from quant.graph import Conv
from quant.numbers import Format

__all__ = ["LayerInputs"]

POSITIONS = 1 << 16  # output positions that second moments are estimated from
PATCH_VALUES = 1 << 25  # largest matrix of patches


@dataclass(frozen=True)
class LayerInputs:
    """Inputs of a convolution in the quantized and in the float network, on the same images.

    All layers before it are already quantized, so earlier errors are in the codes, and a scheme
    that compares with ``values`` can make up for them.

    Parameters
    ----------
    codes : integer array (images, channels, height, width)
    format : Format
        Of the codes.
    values : float32 (images, channels, height, width)
        The same tensor in the float network.
    centered : bool
        Whether an error of the output's mean does not count, because bias correction follows.
    first, last : bool
        Whether the convolution reads the network's input, and whether it makes its output.
    """

    codes: np.ndarray
    format: Format
    values: np.ndarray
    centered: bool
    first: bool = False
    last: bool = False

    def moments(self, conv: Conv, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Second moments ``E[q q']`` and ``E[x q']`` of the inputs that one output sees.

        ``q`` is the quantized and ``x`` the float input; both are float64 (groups, inputs,
        inputs), the inputs in the order (channel of the group, row, column) of the weights, of
        which ``part`` is taken. The means are taken off where ``centered``. Positions are a fixed
        sample of at most ``POSITIONS``.
        """
        where = self._positions(conv, part.stop - part.start)
        q = self._patches(self.codes, conv, part, where) * np.float32(self.format.step)
        x = self._patches(self.values, conv, part, where)
        if self.centered:
            q -= q.mean(axis=1, keepdims=True)
            x -= x.mean(axis=1, keepdims=True)
        count = q.shape[1]
        transposed = q.transpose(0, 2, 1)
        return (
            (transposed @ q).astype(np.float64) / count,
            (x.transpose(0, 2, 1) @ q).astype(np.float64) / count,
        )

    def _positions(self, conv: Conv, inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, row and column of the sampled output positions."""
        _, height, width = conv.shape
        total = len(self.codes) * height * width
        count = min(total, POSITIONS, max(PATCH_VALUES // (inputs * conv.groups), inputs))
        flat = np.sort(np.random.default_rng(0).choice(total, min(count, total), replace=False))
        image, rest = np.divmod(flat, height * width)
        row, column = np.divmod(rest, width)
        return image, row, column

    @staticmethod
    def _patches(
        x: np.ndarray,
        conv: Conv,
        part: slice,
        where: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """What the kernel sees at these positions: float32 (groups, positions, inputs)."""
        window = conv.window
        top, left, bottom, right = window.padding
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        image, row, column = (axis[:, None] for axis in where)
        per_group = x.shape[1] // conv.groups
        channel, tap = np.divmod(np.arange(per_group * window.positions)[part], window.positions)
        i, j = np.divmod(tap, window.kernel[1])
        rows = row * window.stride[0] + i * window.dilation[0]
        columns = column * window.stride[1] + j * window.dilation[1]
        patches = np.empty((conv.groups, len(image), len(channel)), np.float32)
        for group in range(conv.groups):
            patches[group] = padded[image, group * per_group + channel, rows, columns]
        return patches
