"""What a verb is given to work on: a network, a graph, a quantized graph or a program, by name."""

import importlib
import importlib.util
import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from quant.errors import NoMulError
from quant.graph import Graph, Shape
from quant.importers import load
from quant.networks import PRETRAINED, Preprocessing, pretrained
from quant.quantized import QuantizedGraph
from quant.training.trained import load_trained

__all__ = ["Imported", "Network", "file_kind", "find_network", "load_graph", "load_quantized"]

PRETRAINED_SHAPE: Shape = (3, 32, 32)


@dataclass(frozen=True)
class Network:
    """A trained network before import.

    Parameters
    ----------
    model : torch module, or path of an ONNX file
    input_shape : (channels, height, width), (features,) or None
        None where the file says it.
    preprocessing : Preprocessing or None
        Where it is known what the network expects.
    """

    model: nn.Module | Path
    input_shape: tuple[int, ...] | None
    preprocessing: Preprocessing | None


def find_network(source: str, input_shape: tuple[int, ...] | None, models: Path | None) -> Network:
    """The network that a source names.

    ``source`` is an ``.onnx`` file, weights that ``nomul train`` wrote (``.pt``), the name of a
    pretrained network, or Python code that makes a ``torch.nn.Module``: ``file.py:function`` or
    ``package.module:function``.

    Errors: :class:`NoMulError` for anything else.
    """
    known = None
    if source in PRETRAINED:
        module, preprocessing = pretrained(source, models)
        known = Network(module, PRETRAINED_SHAPE, preprocessing)
    elif source.endswith(".pt"):
        trained = load_trained(source)
        shape = trained.trainable.input_shape
        known = Network(trained.model, shape, trained.preprocessing)
    if known is not None:
        if input_shape not in (None, known.input_shape):
            raise NoMulError(
                f"{source} takes images of {known.input_shape}; leave out --input-shape"
            )
        return known
    if source.endswith(".onnx"):
        return Network(Path(source), input_shape, None)
    place, _, attribute = source.rpartition(":")
    if place and attribute:
        if input_shape is None:
            raise NoMulError(
                f"{source} is Python code, which does not say the shape of its input; give "
                "--input-shape CHANNELS,HEIGHT,WIDTH, or FEATURES"
            )
        return Network(module_from_code(place, attribute), input_shape, None)
    raise NoMulError(
        f"{source} is no network; give an .onnx file, a .pt file of nomul train, Python code as "
        "file.py:function, or one of "
        f"{', '.join(PRETRAINED)}"
    )


def module_from_code(place: str, attribute: str) -> nn.Module:
    """The module that a function, class or variable of a Python file or module makes or is."""
    if place.endswith(".py") and not Path(place).is_file():
        raise NoMulError(f"{place} does not exist; check the path")
    try:
        if place.endswith(".py"):
            # A name of its own, so that a file like numbers.py hides no other module.
            spec = importlib.util.spec_from_file_location(f"network_{Path(place).stem}", place)
            assert spec is not None and spec.loader is not None
            code: Any = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = code
            spec.loader.exec_module(code)
        else:
            # As `python -m` does: what lies in the working folder can be named.
            sys.path.insert(0, "")
            try:
                code = importlib.import_module(place)
            finally:
                sys.path.remove("")
    except (Exception, SystemExit) as error:
        raise NoMulError(
            f"{place} cannot be imported ({type(error).__name__}: {error}); mend it or its path"
        ) from error
    if not hasattr(code, attribute):
        raise NoMulError(f"{place} defines no {attribute}; name a function that makes the network")
    made = getattr(code, attribute)
    if callable(made) and not isinstance(made, nn.Module):
        try:
            made = made()
        except (Exception, SystemExit) as error:
            raise NoMulError(
                f"{place}:{attribute} failed ({type(error).__name__}: {error}); "
                "it must make a torch.nn.Module without arguments"
            ) from error
    if not isinstance(made, nn.Module):
        raise NoMulError(
            f"{place}:{attribute} is of type {type(made).__name__}; it must make a torch.nn.Module"
        )
    return made.eval()


def file_kind(source: str) -> str | None:
    """What a file written by NoMul holds, or None for any other source."""
    try:
        with zipfile.ZipFile(source) as archive:
            header = json.loads(archive.read("header.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return header.get("nomul") if isinstance(header, dict) else None


@dataclass(frozen=True)
class Imported:
    """A float graph, and the network it was imported from; None where a file held the graph."""

    graph: Graph
    network: Network | None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """Where it is known what the network expects."""
        return self.network.preprocessing if self.network else None


def load_graph(source: str, input_shape: tuple[int, ...] | None, models: Path | None) -> Imported:
    """The float graph of a network, or of a file that holds one.

    Errors: :class:`NoMulError` where the source cannot be read or imported.
    """
    if file_kind(source) is not None:
        if input_shape is not None:
            raise NoMulError(f"{source} says the shape of its input; leave out --input-shape")
        return Imported(Graph.load(source), None)
    network = find_network(source, input_shape, models)
    name = Path(source).stem if is_file(source) else source.rpartition(":")[2]
    return Imported(load(network.model, network.input_shape, name), network)


def is_file(source: str) -> bool:
    """Whether a source is a file by its name, after which its network is named."""
    return source.endswith((".onnx", ".pt"))


def load_quantized(source: str) -> QuantizedGraph:
    """The quantized graph in a file.

    Errors: :class:`NoMulError` for any other source.
    """
    if not Path(source).is_file():
        raise NoMulError(f"{source} is no file; make a quantized graph with: nomul quantize")
    return QuantizedGraph.load(source)
