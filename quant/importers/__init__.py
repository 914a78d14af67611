"""Importers: a trained network from torch, ONNX or a saved file to a float ``Graph``."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from quant.errors import NoMulError
from quant.graph import Graph
from quant.importers.onnx_file import load_onnx
from quant.importers.torch_export import load_module

__all__ = ["load", "load_module", "load_onnx"]


def load(
    source: nn.Module | str | Path,
    input_shape: Sequence[int] | None = None,
    name: str | None = None,
) -> Graph:
    """The float graph of a network.

    Parameters
    ----------
    source : nn.Module or path
        A torch module, an ``.onnx`` file, or a file that :meth:`Graph.save` wrote.
    input_shape : (channels, rows, columns) or (features,), optional
        Shape of one image. A module needs it; an ONNX file does where its own is open.
    name : str, optional
        Name of the graph; the module's class, or the file's name, where it is not given.

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
            f"a network cannot be of type {type(source).__name__}; give a torch module or the path "
            "of a file"
        )
    path = Path(source)
    if path.suffix == ".onnx":
        return load_onnx(path, input_shape, name)
    if path.suffix in (".pt", ".pth"):
        raise NoMulError(
            f"{path} holds a network's parameters without its layers; load them into a torch "
            "module and import that, or export an .onnx file"
        )
    if path.is_file() and not zipfile.is_zipfile(path):
        raise NoMulError(
            f"{path} is neither an .onnx file nor a saved graph; give one of these or "
            "a torch module"
        )
    return Graph.load(path)
