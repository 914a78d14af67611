"""What the parameters of a quantized network take."""

from quant.quantized import QConv, QuantizedGraph
from quant.widths import weight_width

__all__ = ["model_bytes"]


def model_bytes(qgraph: QuantizedGraph) -> int:
    """Bytes of all weights and biases, each layer's as wide as its weights need.

    Biases are counted as wide as the weights, as in a file of such numbers; in the machine they are
    as wide as the sums.
    """
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    return sum(
        (layer.weight.size + layer.bias.size) * weight_width(layer.weight) // 8 for layer in layers
    )
