"""The ONNX front end: a model file to a float graph."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import inliner, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from quant.errors import NoMulError, first_line
from quant.graph import Graph
from quant.importers.builder import Builder
from quant.importers.lowering import Constant
from quant.importers.onnx_call import Call
from quant.importers.onnx_operators import COMPUTE, MOVE, REMEDIES
from quant.importers.views import Unsupported, View

__all__ = ["load_onnx"]

# The image count that stands for an open batch: with one, a lost batch would go unnoticed.
BATCH = 2

# Before opset 9, broadcasting and constants have other rules; the converter knows them.
OLDEST_OPSET = 9

QUANTIZERS = {
    "BipolarQuant",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Quant",
    "QuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "Trunc",
}

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


def load_onnx(
    path: str | Path, input_shape: Sequence[int] | None = None, name: str | None = None
) -> Graph:
    """The float graph of an ONNX model.

    A layer is named after its node, or after its output where the node has no name.

    Parameters
    ----------
    path : path
        Any opset that the installed onnx package knows.
    input_shape : (channels, rows, columns) or (features,), optional
        Shape of one image, for a model whose own is open.
    name : str, optional
        Name of the graph; the file's name without its suffix where it is not given.

    Errors: :class:`NoMulError` for a file that is no valid model, several inputs or outputs, NaN
    or infinite weights, an open shape, and every node that has no layer.
    """
    path = Path(path)
    model = read_model(path)
    return Importer(model, path, input_shape).graph(name if name is not None else path.stem)


def read_model(path: Path) -> onnx.ModelProto:
    """A checked model of a known opset, without functions of its own."""
    try:
        model = onnx.load(path)
    except FileNotFoundError as error:
        raise NoMulError(f"{error.filename or path} does not exist; check the path") from None
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise NoMulError(
            f"{path} is no readable ONNX file ({first_line(error)}); export it again"
        ) from error
    for node in model.graph.node:
        # The checker would refuse some of these first, without a remedy.
        refuse_quantizer(node)
    try:
        onnx.checker.check_model(model)
        model = inliner.inline_local_functions(model)
        version = opset(model)
        if version < OLDEST_OPSET:
            model = version_converter.convert_version(model, OLDEST_OPSET)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise NoMulError(
            f"{path} is no valid ONNX model ({first_line(error)}); export it again"
        ) from error
    return model


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=OLDEST_OPSET)


class Importer:
    """Walks a model and drives the builder."""

    def __init__(
        self, model: onnx.ModelProto, path: Path, input_shape: Sequence[int] | None
    ) -> None:
        self.model = model
        self.path = path
        self.opset = opset(model)
        self.values: dict[str, View | Constant] = {}
        for tensor in model.graph.initializer:
            self.values[tensor.name] = Constant(
                numpy_helper.to_array(tensor, str(path.parent)), tensor.name
            )
        if model.graph.sparse_initializer:
            raise NoMulError(f"{path} has sparse weights; export it with dense ones")
        inputs = [entry for entry in model.graph.input if entry.name not in self.values]
        for kind, entries in (("input", inputs), ("output", model.graph.output)):
            if len(entries) != 1:
                names = ", ".join(entry.name for entry in entries)
                raise NoMulError(
                    f"{path} has {len(entries)} {kind}s ({names}); export a model with one {kind}"
                )
        shape = self._input_shape(inputs[0], input_shape)
        self.builder = Builder(inputs[0].name, shape)
        self.values[inputs[0].name] = self.builder.input

    def _input_shape(
        self, entry: onnx.ValueInfoProto, input_shape: Sequence[int] | None
    ) -> tuple[int, ...]:
        """The input's shape, the batch first."""
        tensor = entry.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
            raise NoMulError(
                f"the input {entry.name} of {self.path} is {kind}; export a model that takes float"
            )
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        given = tuple(map(int, input_shape)) if input_shape is not None else None
        if not sizes and given is not None:
            sizes = [None] * (len(given) + 1)
        own = sizes[1:]
        if given is not None:
            if len(own) != len(given) or any(
                size not in (None, want) for size, want in zip(own, given, strict=True)
            ):
                shown = tuple("?" if size is None else size for size in own)
                raise NoMulError(
                    f"the input {entry.name} of {self.path} has the shape {shown} an image, not "
                    f"{given}; give its own shape"
                )
            own = list(given)
        if not own or None in own:
            raise NoMulError(
                f"the shape of the input {entry.name} of {self.path} is open beyond the batch; "
                "pass input_shape=(channels, rows, columns)"
            )
        return (sizes[0] or BATCH, *(size for size in own if size is not None))

    def graph(self, title: str) -> Graph:
        """Import every node that the output needs, then finish the graph."""
        output = self.model.graph.output[0].name
        for node in needed_nodes(self.model.graph, output):
            label = node.name or node.output[0]
            try:
                results = self._call(node, label)
            except Unsupported as error:
                raise NoMulError(f"{label} ({node.op_type}): {error}") from None
            self.values.update(zip(node.output, results, strict=False))
        result = self.values.get(output)
        if not isinstance(result, View):
            raise NoMulError(
                f"the output {output} of {self.path} does not depend on the input; export it again"
            )
        try:
            return self.builder.finish(title, result)
        except Unsupported as error:
            raise NoMulError(f"the output {output}: {error}") from None

    def _call(self, node: onnx.NodeProto, label: str) -> Sequence[View | Constant]:
        """The results of one node."""
        refuse_quantizer(node)
        if node.domain not in ("", "ai.onnx"):
            raise Unsupported(
                f"it belongs to the domain {node.domain}; only ONNX's own operators can be imported"
            )
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            raise Unsupported(
                f"{missing[0]} is not imported; only the main result of a node can be"
            )
        inputs = [self.values[name] if name else None for name in node.input]
        call = Call(self.builder, label, node, inputs, self.opset)
        if any(isinstance(value, View) for value in inputs):
            if node.op_type == "Shape":
                view = call.view(0)
                start, end = call.attribute("start", 0), call.attribute("end", None)
                return [Constant(np.array(view.shape, np.int64)[start:end], label)]
            if node.op_type in MOVE:
                return self._move(call)
            if node.op_type in COMPUTE:
                return [COMPUTE[node.op_type](call)]
            raise Unsupported(
                REMEDIES.get(
                    node.op_type,
                    "no layer computes this operator; use convolution, Gemm, pooling, addition, "
                    "concatenation, Relu and other clips, batch norm or nearest upsampling in its "
                    "place",
                )
            )
        if node.op_type in RANDOM or any(a.type in SUBGRAPHS for a in node.attribute):
            raise Unsupported("its result is not constant; export the model without it")
        return [Constant(array, label) for array in self._evaluate(call, inputs)]

    def _move(self, call: Call) -> list[View | Constant]:
        """Apply an operation that only moves elements to positions instead of values."""
        view = call.view(0)
        call.check_moves()
        inputs = [Constant(view.indices(), "positions"), *call.inputs[1:]]
        moved = self._evaluate(call, inputs)
        return [view.rearranged(array, call.name) for array in moved]

    def _evaluate(self, call: Call, inputs: Sequence[View | Constant | None]) -> list[np.ndarray]:
        """Run one node on constants with ONNX's own reference implementation."""
        feeds = {}
        for name, value in zip(call.node.input, inputs, strict=True):
            if isinstance(value, View):
                raise Unsupported(f"its input {name} depends on the data; it must be a constant")
            if value is not None:
                feeds[name] = value.values
        graph = onnx.helper.make_graph(
            [call.node],
            "constant",
            [onnx.ValueInfoProto(name=name) for name in feeds],
            [onnx.ValueInfoProto(name=name) for name in call.node.output if name],
        )
        versions = [onnx.helper.make_opsetid("", self.opset)]
        model = onnx.helper.make_model(graph, opset_imports=versions)
        try:
            results = ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:
            # The reference implementation raises whatever numpy raises for wrong operands.
            raise Unsupported(f"it cannot be evaluated ({first_line(error)})") from error
        return [np.asarray(result) for result in results]


SUBGRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def needed_nodes(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that a tensor depends on, in their order."""
    needed = {output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def refuse_quantizer(node: onnx.NodeProto) -> None:
    """Refuse nodes of quantized models. Errors: :class:`NoMulError`."""
    if node.op_type in QUANTIZERS:
        dialect = f" of the domain {node.domain}" if node.domain else ""
        raise NoMulError(
            f"{node.name or node.output[0]} ({node.op_type}{dialect}): the model is quantized "
            "already; export the float network without quantizers and let NoMul quantize it"
        )
