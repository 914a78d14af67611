"""Files that say how wide the tensors of a network are."""

import json
from pathlib import Path

from quant.errors import NoMulError, first_line
from quant.quantized import QConv, QuantizedGraph
from quant.sizes import model_bytes
from quant.widths import WIDTHS, layer_width

__all__ = ["read_widths", "size_figures", "size_text"]

EXAMPLE = '{"stem": 16, "stem.weight": 8}'


def read_widths(path: Path) -> dict[str, int]:
    """Widths by tensor: a JSON object such as ``{"stem": 16, "stem.weight": 8}``.

    Errors: :class:`NoMulError` for anything else, and for a file that cannot be read.
    """
    try:
        widths = json.loads(path.read_text())
    except FileNotFoundError:
        raise NoMulError(f"{path} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise NoMulError(
            f"{path} is no readable JSON file ({first_line(error)}); write widths as {EXAMPLE}"
        ) from error
    if not isinstance(widths, dict):
        raise NoMulError(
            f'{path} holds no object; write widths as {{"stem": 16, "stem.weight": 8}}'
        )
    return widths


def size_figures(qgraph: QuantizedGraph) -> dict[str, float | int]:
    """Bytes of the parameters, and how many layers run at each width."""
    counts = dict.fromkeys(WIDTHS, 0)
    for layer in qgraph.layers:
        counts[layer_width(qgraph, layer)] += 1
    return {"bytes": model_bytes(qgraph), **{f"layers.w{w}": n for w, n in counts.items()}}


def size_text(qgraph: QuantizedGraph) -> str:
    """Bytes of the parameters against those of 16 and 32 bits, and the widths of the layers."""
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    numbers = sum(layer.weight.size + layer.bias.size for layer in layers)
    figures = size_figures(qgraph)
    own = figures["bytes"]
    widths = ", ".join(f"{figures[f'layers.w{w}']} at {w}" for w in WIDTHS)
    return (
        f"Parameters: {own:,} bytes, {own / (2 * numbers):.1%} of 16 bits, "
        f"{own / (4 * numbers):.1%} of 32. Layers by width: {widths} bits."
    )
