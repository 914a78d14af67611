"""How each layer is cut into tiles, by the closed-form model of external memory."""

from dataclasses import dataclass

from compiler import mapping
from compiler.model.external import External, Segment
from compiler.model.network import NetworkModel, own_grid
from compiler.prepare import Prepared
from compiler.tiling.boxes import divisible
from quant.errors import NoMulError
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["Choice", "choose"]


@dataclass(frozen=True)
class Choice:
    """The tiles of a step.

    Parameters
    ----------
    rows, columns, blocks : int
        Of the output, at most.
    weights_stay : bool
        Whether the loop over the map is the inner one.
    """

    rows: int
    columns: int
    blocks: int
    weights_stay: bool


@dataclass(frozen=True)
class Passes:
    """Passes of each layer's weights as they are, in the place of a precision."""

    passes: dict[str, int]

    def segments(self, layer: str, channels: int, architecture: Architecture) -> list[Segment]:
        """All channels take the layer's passes."""
        return [Segment(channels, self.passes.get(layer, 1))]


def choose(
    graph: QuantizedGraph, prepared: Prepared, architecture: Architecture, external: External
) -> list[Choice]:
    """The fastest tiles of every step that fit the machine's memories.

    Errors: :class:`NoMulError` naming a layer of which no tile fits.
    """
    engine = mapping.find(architecture.engine)
    passes: dict[str, int] = {}
    for step in prepared.steps:
        if isinstance(step.layer, QConv):
            name = graph.layers[step.owner].name
            needed = engine.count_passes(architecture, step.layer.name, step.layer.weight)
            passes[name] = max(needed, passes.get(name, 1))
    model = NetworkModel(graph, Passes(passes))
    found = model.from_memory(architecture, own_grid(architecture), external)
    choices = []
    for place, step in enumerate(prepared.steps):
        tiled, output = found[place], prepared.tensors[step.layer.name]
        if not tiled.cycles[0, 0] < float("inf"):
            raise NoMulError(
                f"layer {step.layer.name}: not even its smallest tile fits {architecture.name}; "
                f"raise feature_words or weight_words"
            )
        blocks = output.layout.blocks
        if divisible(step.layer):
            blocks = int(tiled.blocks[0, 0])
        choices.append(
            Choice(
                int(tiled.rows[0, 0]),
                int(tiled.columns[0, 0]),
                blocks,
                bool(tiled.weights_stay[0, 0]),
            )
        )
    return choices
