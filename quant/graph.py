"""The float graph: what a trained network is after import, with batch norm folded.

A graph is a list of layers in the order of their data. Tensors have no batch dimension, a shape
(channels, height, width), and the name of the layer that makes them; ``Graph.input`` names the
one tensor that no layer makes. A linear layer is a convolution whose kernel covers its whole
input, so ``flatten`` leaves no trace.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np

from quant.errors import NoMulError, first_line
from quant.files import write_bytes

__all__ = [
    "Add",
    "AvgPool",
    "Clip",
    "Concat",
    "Conv",
    "Graph",
    "Layer",
    "MaxPool",
    "Shape",
    "Upsample",
    "Window",
    "check_order",
    "load_container",
    "load_graph",
    "save_container",
    "save_graph",
    "understood",
]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or pooling: which inputs an output position sees.

    Output row ``r`` sees input rows ``r * stride[0] - padding[0] + i * dilation[0]`` for
    ``i in range(kernel[0])``; columns likewise.

    Parameters
    ----------
    kernel, stride, dilation : (rows, columns)
    padding : (top, left, bottom, right)
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output for an input of ``height`` x ``width``."""
        top, left, bottom, right = self.padding
        rows = height + top + bottom - self.dilation[0] * (self.kernel[0] - 1) - 1
        columns = width + left + right - self.dilation[1] * (self.kernel[1] - 1) - 1
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

    @property
    def positions(self) -> int:
        """Number of kernel positions."""
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Layer:
    """One operation; ``name`` is also the name of the tensor that it makes."""

    name: str
    inputs: tuple[str, ...]
    shape: Shape  # of the output


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution: ``y[o] = bias[o] + sum(x * weight[o])``, padded with zeros.

    ``weight`` is (outputs, inputs / groups, rows, columns).
    """

    weight: np.ndarray
    bias: np.ndarray
    window: Window
    groups: int = 1


@dataclass(frozen=True)
class MaxPool(Layer):
    """Largest input in the window; padding never wins."""

    window: Window


@dataclass(frozen=True)
class AvgPool(Layer):
    """Sum over the window divided by the number of kernel positions; padding counts as zero."""

    window: Window


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two tensors of one shape."""


@dataclass(frozen=True)
class Concat(Layer):
    """Channels of all inputs, one after another."""


@dataclass(frozen=True)
class Clip(Layer):
    """``min(max(x, low), high)``: ReLU is (0, inf), ReLU6 (0, 6)."""

    low: float
    high: float


@dataclass(frozen=True)
class Upsample(Layer):
    """Nearest neighbour: every position repeated ``factor`` = (rows, columns) times."""

    factor: tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """A network in float32: layers in data order, one input, one output.

    ``output`` is the name of a layer; its tensor, flattened in (channel, row, column) order,
    is what the original network returns.
    """

    name: str
    input: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    output: str
    KIND = "graph"

    def __post_init__(self) -> None:
        check_order(self.input, self.layers, self.output)

    def shape_of(self, tensor: str) -> Shape:
        """Shape of a tensor by name."""
        if tensor == self.input:
            return self.input_shape
        return next(layer.shape for layer in self.layers if layer.name == tensor)

    def readers(self, tensor: str) -> list[Layer]:
        """Layers that read a tensor."""
        return [layer for layer in self.layers if tensor in layer.inputs]

    def save(self, path: str | Path) -> None:
        """Write the graph to one file."""
        save_graph(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "Graph":
        """Read what :meth:`save` wrote."""
        return load_graph(cls, path, LAYERS)


def check_order(source: str, layers: Sequence, output: str) -> None:
    """Errors: ValueError where a layer reads what no layer before it makes, or a name is twice."""
    known = {source}
    for layer in layers:
        missing = [name for name in layer.inputs if name not in known]
        if missing:
            raise ValueError(
                f"layer {layer.name} reads {missing[0]}, which nothing before it makes"
            )
        if layer.name in known:
            raise ValueError(f"two tensors are named {layer.name}")
        known.add(layer.name)
    if output not in known:
        raise ValueError(f"no layer makes the output {output}")


LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls for cls in (Conv, MaxPool, AvgPool, Add, Concat, Clip, Upsample)
}


def save_graph(graph, path: str | Path) -> None:
    """Write any graph of dataclass layers: arrays as members, the rest as JSON."""
    arrays: dict[str, np.ndarray] = {}
    header = {f.name: getattr(graph, f.name) for f in fields(graph) if f.name != "layers"}
    layers = []
    for index, layer in enumerate(graph.layers):
        entry: dict = {"kind": type(layer).__name__}
        for f in fields(layer):
            value = getattr(layer, f.name)
            if isinstance(value, np.ndarray):
                arrays[f"{index}.{f.name}"] = value
            else:
                entry[f.name] = value
        layers.append(entry)
    header["layers"] = layers
    save_container(path, graph.KIND, json.loads(json.dumps(header, default=asdict)), arrays)


def load_graph(cls, path: str | Path, kinds: dict[str, type]):
    """Read what :func:`save_graph` wrote.

    Errors: :class:`NoMulError` as of :func:`load_container`, and for a header of other fields.
    """
    header, arrays = load_container(path, cls.KIND)
    with understood(path, cls.KIND):
        return revive_graph(cls, header, arrays, kinds)


@contextmanager
def understood(path: str | Path, kind: str) -> Iterator[None]:
    """Around the reading of a header: other fields than expected are the file's fault."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoMulError(
            f"{path} is no {kind} that this NoMul knows ({type(error).__name__}: "
            f"{first_line(error)}); write it again"
        ) from error


def revive_graph(cls, header: dict, arrays: dict[str, np.ndarray], kinds: dict[str, type]):
    """A graph from the header and the arrays of its file."""
    layers = []
    for index, entry in enumerate(header.pop("layers")):
        kind = kinds[entry.pop("kind")]
        values = {f.name: revive(f.type, entry[f.name]) for f in fields(kind) if f.name in entry}
        values |= {
            f.name: arrays[f"{index}.{f.name}"]
            for f in fields(kind)
            if f"{index}.{f.name}" in arrays
        }
        layers.append(kind(**values))
    values = {f.name: revive(f.type, header[f.name]) for f in fields(cls) if f.name in header}
    return cls(**values, layers=tuple(layers))


def revive(kind, value):
    """A JSON value as the type that a dataclass field declares."""
    if isinstance(value, list):
        return tuple(revive(None, item) for item in value)
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return kind(**{f.name: revive(f.type, value[f.name]) for f in fields(kind)})
    return value


def save_container(
    path: str | Path, kind: str, header: dict, arrays: dict[str, np.ndarray]
) -> None:
    """Write one file of a stage's result: a zip of ``header.json`` and ``.npy`` members.

    The file appears whole or not at all. ``kind`` says what the file holds and is checked by
    :func:`load_container`. Errors: :class:`NoMulError` if it cannot be written.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps({"nomul": kind, "version": 1, **header}, indent=1)
        archive.writestr(zipfile.ZipInfo("header.json"), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    write_bytes(path, content.getbuffer())


def load_container(path: str | Path, kind: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Read what :func:`save_container` wrote: its header and its arrays.

    Errors: :class:`NoMulError` for a missing, truncated or foreign file, or another kind.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("header.json"))
            arrays = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        arrays[name[:-4]] = np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError:
        raise NoMulError(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise NoMulError(f"{path} is a folder; name a {kind} file") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise NoMulError(
            f"{path} is no readable {kind} file ({error}); it may be truncated, write it again"
        ) from error
    if not isinstance(header, dict):
        raise NoMulError(f"{path} is no {kind} file: its header is no object; write it again")
    found = header.pop("nomul", None)
    if found != kind:
        raise NoMulError(
            f"{path} holds a {found or 'foreign file'}, not a {kind}; name a {kind} file"
        )
    version = header.pop("version", None)
    if version != 1:
        raise NoMulError(f"{path} has format version {version}, this NoMul reads 1; write it again")
    return header, arrays
