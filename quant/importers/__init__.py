"""Importers: a trained network from torch or a saved file to a float ``Graph``."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from quant.errors import NoMulError
from quant.graph import Graph
from quant.importers.torch_export import load_module

__all__ = ["load", "load_module"]


def load(
    source: nn.Module | str | Path,
    input_shape: Sequence[int] | None = None,
    name: str | None = None,
) -> Graph:
    """The float graph of a network.

    Parameters
    ----------
    source : nn.Module or path
        A torch module, or a file that :meth:`Graph.save` wrote.
    input_shape : (channels, rows, columns) or (features,), optional
        Shape of one image. A module needs it.
    name : str, optional
        Name of the graph; the module's class where it is not given.

    Errors: :class:`NoMulError` for what cannot be read, and for every part of the network that no
    layer expresses, by its name.
    """
    if isinstance(source, nn.Module):
        if input_shape is None:
            raise NoMulError(
                f"the input shape of {type(source).__name__} is not given; pass "
                "input_shape=(channels, rows, columns)"
            )
        return load_module(source, input_shape, name)
    if not isinstance(source, str | Path):
        raise NoMulError(
            f"a network cannot be a {type(source).__name__}; give a torch module or a file's path"
        )
    return Graph.load(source)
