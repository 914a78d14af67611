"""What rounding at every width does to a network's weights, layer by layer."""

from collections.abc import Callable, Iterable

import numpy as np

from quant.allocation.mixed import round_mixed
from quant.allocation.tables import WIDTHS
from quant.graph import Conv, Graph
from quant.layer_inputs import LayerInputs
from quant.quantize import quantize
from quant.schemes import Activations, Scheme
from quant.schemes.rounding import Rounding

__all__ = ["rounded_weights"]

Progress = Callable[[int, int | None, str], None]


def rounded_weights(
    graph: Graph,
    images: np.ndarray | Iterable[np.ndarray],
    kind: str,
    rounding: str,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Each convolution's weights rounded at all widths: float32 (widths, *weight's shape).

    Inputs are those of the network with weights of the largest width; parameters are those of
    :class:`~quant.allocation.mixed.Mixed` and :func:`~quant.quantize.quantize`.
    """
    probe = Probe(kind, rounding)
    quantize(graph, images, probe, progress=progress)
    return probe.values


class Probe(Scheme):
    """Rounds at every width, and goes on with the largest.

    Attributes
    ----------
    values : dict of float32 (widths, *weight's shape)
        By the convolution's name.
    """

    def __init__(self, kind: str, rounding: str) -> None:
        super().__init__(f"probe of {kind} weights", Activations())
        self.kind = kind
        self.rounding = rounding
        self.values: dict[str, np.ndarray] = {}

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        moments = Rounding(conv, inputs)
        groups, outputs, size = moments.weight.shape
        # All widths at once, as so many sets of output channels: rounding goes input by input.
        every = np.tile(np.repeat(WIDTHS, outputs), groups)
        codes, fraction = round_mixed(
            moments.repeated(len(WIDTHS)), self.kind, every, self.rounding
        )
        codes = codes.reshape(groups, len(WIDTHS), outputs, size).swapaxes(0, 1)
        fraction = fraction.reshape(groups, len(WIDTHS), outputs).swapaxes(0, 1)
        values = np.ldexp(codes.astype(np.float32), -fraction[..., None])
        self.values[conv.name] = values.reshape(-1, *conv.weight.shape)
        return codes[-1].reshape(conv.weight.shape), fraction[-1].reshape(-1)
