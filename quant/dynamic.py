"""Which tensors of an 8-bit network should have 16 bits, so that its outputs err little enough.

Each tensor is rounded alone in the float network. What it does to the output is taken as
independent of the others, so squared errors add up. Weights keep 8 bits: as they are rounded to
make up for each other's errors, they add least.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from quant.calibrate import Observations, find_method
from quant.errors import NoMulError
from quant.floating import to_tensor
from quant.formats import FormatPlan
from quant.fusion import Step
from quant.graph import Conv, Graph
from quant.mixed import WEIGHT, MixedScheme
from quant.radix import find_search
from quant.rounded import Finish, rounded, walk
from quant.schemes import find_scheme

__all__ = ["choose_widths"]

Progress = Callable[[int, int | None, str], None]

NARROW, WIDE = 8, 16
IMAGES = 128  # that errors are measured on


@dataclass(frozen=True)
class Work:
    """A layer with the tensors that decide how wide it runs.

    Parameters
    ----------
    macs : int
        Multiply-accumulates; of a layer without weights the elements that it makes.
    tensors : set of str
        Its inputs and its output.
    """

    macs: int
    tensors: frozenset[str]


def choose_widths(
    graph: Graph,
    observed: Observations,
    error: float,
    calibration: str = "kl",
    progress: Progress | None = None,
    radix: str | None = None,
) -> dict[str, int]:
    """Widths by tensor, 8 or 16, for :class:`~quant.mixed.MixedScheme`.

    Tensors become wide one after another, always the one that takes away most squared error for
    the work that then runs at half the speed, until the errors add up to ``error`` or less.

    Parameters
    ----------
    graph : Graph
    observed : Observations
    error : float
        ``||found - exact|| / ||exact||`` of the outputs, what activations may add to it.
    calibration, radix : str
        As of :func:`quant.quantize.quantize`, with which the network is then quantized: the steps
        that tensors stand between hang on them.
    progress : function (done, total, label), optional

    Errors: :class:`NoMulError` for an error that is not above 0.
    """
    if not error > 0:
        raise NoMulError(f"an error of {error} asks for exact outputs; give more than 0")
    plan = FormatPlan(graph, observed, find_method(calibration), MixedScheme(find_scheme("int8")))
    if radix is not None:
        plan = find_search(radix)(plan, progress)
    noise = errors_alone(plan, progress)
    works = [work_of(plan, step) for step in plan.steps]
    wide: set[str] = set()
    while (left := set(noise) - wide) and sum(noise[name] for name in left) > error**2:
        fast = [work for work in works if not work.tensors & wide]
        gain = {
            name: noise[name] / (sum(work.macs for work in fast if name in work.tensors) + 1)
            for name in plan.free
            if name in left
        }
        wide.add(max(gain, key=gain.__getitem__))
    weights = {step.name + WEIGHT: NARROW for step in plan.steps if isinstance(step.layer, Conv)}
    return {name: WIDE if name in wide else NARROW for name in plan.free} | weights


def errors_alone(plan: FormatPlan, progress: Progress | None) -> dict[str, float]:
    """Squared relative error of the outputs, by the tensor that alone has 8 bits."""
    images = to_tensor(plan.observed.sample[:IMAGES])
    exact = walk(plan.graph, images, lambda name, values, finish: values)
    signal = float(exact.double().square().sum())
    found: dict[str, float] = {}

    def visit(name: str, values: torch.Tensor, finish: Finish) -> torch.Tensor:
        if name in plan.free:
            outputs = finish(rounded(values, plan.wish(name)), {})
            noise = float((outputs - exact).double().square().sum())
            found[name] = noise / signal if signal else noise
            if progress:
                progress(len(found), len(plan.free), f"error of {name}")
        return values

    walk(plan.graph, images, visit)
    return found


def work_of(plan: FormatPlan, step: Step) -> Work:
    """What a step does, and the tensors whose widths it runs at."""
    shape = plan.graph.shape_of(step.name)
    macs = int(np.prod(shape))
    if isinstance(step.layer, Conv):
        macs = shape[1] * shape[2] * step.layer.weight.size
    return Work(macs, frozenset(plan.decisive(name) for name in (*step.inputs, step.name)))
