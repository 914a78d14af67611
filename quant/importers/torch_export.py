"""The torch front end: an ``nn.Module`` through ``torch.export`` to a float graph."""

import copy
import logging
import operator
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.export.graph_signature import InputKind
from torch.fx import Node
from torch.utils import _pytree as pytree

from quant.errors import NoMulError, first_line
from quant.graph import Graph
from quant.importers.builder import Builder
from quant.importers.lowering import Constant
from quant.importers.torch_operators import COMPUTE, MOVE, Call
from quant.importers.views import Unsupported, View

__all__ = ["load_module"]

# With one image a lost batch dimension would go unnoticed.
BATCH = 2


def load_module(module: nn.Module, input_shape: Sequence[int], name: str | None = None) -> Graph:
    """The float graph of a module in evaluation mode; the module itself is left as it is.

    A layer is named after its submodule (``layer1.0.conv1``), or after the submodule around it and
    the function that makes it (``layer1.0.add``).

    Parameters
    ----------
    input_shape : (channels, rows, columns) or (features,)
        Shape of one image.
    name : str, optional
        Name of the graph; the module's class where it is not given.

    Errors: :class:`NoMulError` where torch cannot export the module, for NaN or infinite weights,
    several inputs or outputs, and every operator that has no layer.
    """
    module = copy.deepcopy(module).float().eval()
    shape = (BATCH, *map(int, input_shape))
    title = name if name is not None else type(module).__name__
    program = export(module, shape, title)
    return Importer(module, program, shape).graph(title)


def export(module: nn.Module, shape: tuple[int, ...], title: str) -> torch.export.ExportedProgram:
    """The module's operations in core ATen, for one fixed shape."""
    try:
        with warnings.catch_warnings(), silent_logging():
            # torch.export warns about its own internals, which a user cannot mend.
            warnings.simplefilter("ignore")
            return torch.export.export(module, (torch.zeros(shape),)).run_decompositions()
    except Exception as error:
        # torch.export raises exceptions of many kinds, according to what the module does.
        raise NoMulError(
            f"torch.export cannot trace {title} with an input of {shape}: "
            f"{first_line(error).rstrip('.')}; check the input shape and the module's forward"
        ) from error


@contextmanager
def silent_logging() -> Iterator[None]:
    """Nothing is logged for a while: torch logs a traceback beside the exception that it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


class Importer:
    """Walks an exported program and drives the builder."""

    def __init__(
        self, module: nn.Module, program: torch.export.ExportedProgram, shape: tuple[int, ...]
    ) -> None:
        self.module = module
        self.program = program
        self.values: dict[Node, object] = {}
        self.names: dict[int, str] = {}
        inputs = program.graph_signature.user_inputs
        if len(inputs) != 1:
            raise NoMulError(
                f"the module has {len(inputs)} inputs ({', '.join(map(str, inputs))}); import one "
                "that takes a single tensor"
            )
        self.builder = Builder(str(inputs[0]), shape)

    def graph(self, title: str) -> Graph:
        """Import every node, then finish the graph."""
        self._bind_placeholders()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                operation = operation_name(node)
                try:
                    self.values[node] = self._call(node)
                except Unsupported as error:
                    raise NoMulError(f"{self._name(node)} ({operation}): {error}") from None
        outputs = pytree.tree_leaves(self.program.graph.output_node().args)
        results = [self.values[node] for node in outputs if isinstance(node, Node)]
        if len(outputs) != 1 or len(results) != 1:
            raise NoMulError(
                f"{title} returns {len(outputs)} tensors; import a module that returns one"
            )
        if not isinstance(results[0], View):
            raise NoMulError(f"the output of {title} does not depend on its input; check forward")
        try:
            return self.builder.finish(title, results[0])
        except Unsupported as error:
            raise NoMulError(f"the output of {title}: {error}") from None

    def _bind_placeholders(self) -> None:
        """Give every parameter, buffer and constant its values, and the input its view."""
        state, constants = self.program.state_dict, self.program.constants
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            if spec.kind == InputKind.USER_INPUT:
                self.values[node] = self.builder.input
                continue
            value = state[spec.target] if spec.target in state else constants[spec.target]
            self.values[node] = self._keep(value.detach(), spec.target)

    def _keep(self, value: torch.Tensor, name: str) -> torch.Tensor:
        """Remember how to call a constant; ``values`` keeps it alive, so its id stays its own."""
        self.names[id(value)] = name
        return value

    def _call(self, node: Node) -> object:
        """The value of one node: a view, a constant tensor, or a list of them."""
        args, kwargs = pytree.tree_map(
            lambda item: self.values[item] if isinstance(item, Node) else item,
            (node.args, node.kwargs),
        )
        if node.target is operator.getitem:
            value = args[0][args[1]]
            if value is None:
                raise Unsupported("only its first result can be imported")
            return value
        views = [item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, View)]
        if not views:
            return self._fold(node, args, kwargs)
        target = str(overload(node).overloadpacket).removeprefix("aten.")
        call = Call(
            self.builder, self._name(node), target, bind(node, args, kwargs), self._constant
        )
        if target == "_assert_tensor_metadata":
            # torch.export's own check, which this very shape and type have passed.
            return None
        if target in MOVE:
            return self._move(call, node, args, kwargs, views)
        if target not in COMPUTE:
            raise Unsupported(
                "no layer computes this operator; use convolution, linear, pooling, addition, "
                "concatenation, ReLU and other clips, batch norm or nearest upsampling in its place"
            )
        return COMPUTE[target](call)

    def _fold(self, node: Node, args, kwargs) -> object:
        """Evaluate an operation on constants alone."""
        if torch.Tag.nondeterministic_seeded in overload(node).tags:
            raise Unsupported("it makes random numbers; make them a constant of the module")
        result = overload(node)(*args, **kwargs)
        for value in pytree.tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._keep(value, self._name(node))
        return result

    def _move(self, call: Call, node: Node, args, kwargs, views: list[View]) -> object:
        """Apply an operation that only moves elements to positions instead of values."""
        if call.arguments.get("value"):
            raise Unsupported(f"it pads with {call['value']}; only zeros can be")
        if len(views) != 1:
            raise Unsupported("it moves elements by a position that depends on the input")
        view = views[0]

        def positions(item):
            # Positions as float64 are exact, and every operator of torch takes float64.
            return torch.from_numpy(item.indices()).double() if item is view else item

        moved = overload(node)(
            *pytree.tree_map(positions, args), **pytree.tree_map(positions, kwargs)
        )
        return pytree.tree_map(lambda result: view.rearranged(result.numpy(), call.name), moved)

    def _constant(self, value: object) -> Constant:
        """A tensor or number as the builder takes it."""
        if isinstance(value, torch.Tensor):
            return Constant(value.numpy(), self.names[id(value)])
        return Constant(torch.tensor(value).numpy(), "a number")

    def _name(self, node: Node) -> str:
        """The path of the submodule that a node belongs to, and its function if it is not alone."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = stack[-1][0] if stack else ""
        if path and not any(True for _ in self.module.get_submodule(path).children()):
            return path
        return f"{path}.{operation_name(node)}".lstrip(".")


def operation_name(node: Node) -> str:
    """The function that the user called, without the number that makes it unique."""
    origins = node.meta.get("from_node")
    name = origins[-1].name if origins else node.name
    return re.sub(r"_*\d*$", "", name)


def overload(node: Node) -> torch._ops.OpOverload:
    """The operator that a node calls."""
    if not isinstance(node.target, torch._ops.OpOverload):
        raise Unsupported("it is no tensor operator; keep control flow and Python out of forward")
    return node.target


def bind(node: Node, args: Sequence, kwargs: dict) -> dict[str, object]:
    """A node's arguments by the names of its operator's schema, defaults included."""
    return {
        argument.name: args[index]
        if index < len(args)
        else kwargs.get(argument.name, argument.default_value)
        for index, argument in enumerate(overload(node)._schema.arguments)
    }
