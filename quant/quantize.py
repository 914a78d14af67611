"""Float graph to quantized graph, without training."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch

from quant.bias_correction import correct_bias
from quant.calibrate import Observations, find_method, observe
from quant.errors import NoMulError
from quant.floating import run_layer as run_float_layer
from quant.formats import FormatPlan
from quant.fusion import Step
from quant.graph import Concat, Conv, Graph
from quant.layer_inputs import LayerInputs
from quant.lower import lower_conv, lower_step, requantizer
from quant.mixed import MixedScheme
from quant.numbers import Format
from quant.numbers import quantize as quantize_values
from quant.quantized import QConv, QLayer, QuantizedGraph
from quant.radix import find_search
from quant.reference import run_layer, storage
from quant.rounding import Rounding
from quant.schemes import Scheme, find_scheme
from quant.widths import SUMS, width_of

__all__ = ["quantize"]

Progress = Callable[[int, int | None, str], None]


def quantize(
    graph: Graph,
    images: np.ndarray | Iterable[np.ndarray] | Observations,
    scheme: str | Scheme = "int8",
    calibration: str = "mse",
    bias_correction: bool = True,
    progress: Progress | None = None,
    *,
    radix: str | None = None,
    widths: Mapping[str, int] | None = None,
    rounding: str = "even",
    seed: int = 1,
) -> QuantizedGraph:
    """The network in integers, by calibration on a few hundred images.

    Parameters
    ----------
    graph : Graph
    images : float32 (images, channels, height, width), or an iterable of such batches
        Preprocessed training images in random order; or what :func:`quant.calibrate.observe` saw
        on them.
    scheme : str or Scheme
        Quantizer of weights and activations: ``int8``, ``log4``, ``w4r+``, ``log5a4``, ...
        (:mod:`quant.schemes`), or one that is made already.
    calibration : str
        How the fractions of tensors are chosen: ``mse``, ``min-max``, ``percentile``, ``kl``
        (:mod:`quant.calibrate`).
    bias_correction : bool
        Whether biases also take up the mean error of their channels.
    progress : function (done, total, label), optional
        Called during calibration and after each layer; the total is None where it is unknown.
    radix : str, optional
        Search the radix point of each tensor around that of calibration: ``kl``, ``mse`` or
        ``accuracy`` (:mod:`quant.radix`).
    widths : mapping of names to 8, 16 or 32, optional
        Tensors that have another width than the scheme (:class:`~quant.mixed.MixedScheme`).
    rounding : str
        How layers requantize: ``even`` or ``stochastic`` (:class:`~quant.quantized.QLayer`).
    seed : int
        Of stochastic rounding, 0 or more; each layer gets a seed of its own from it.

    Errors: :class:`~quant.errors.NoMulError` for an unknown scheme, method, rounding or tensor,
    and for images that are missing, of the wrong shape or type, or not finite.
    """
    found = find_scheme(scheme) if isinstance(scheme, str) else scheme
    chosen, method = MixedScheme(found, widths or {}), find_method(calibration)
    roundings = Rounding(rounding, seed)
    search = find_search(radix) if radix is not None else None
    if search is not None and chosen.scheme.activations.fraction is not None:
        raise NoMulError(f"{scheme} fixes the radix points; leave out the search for them")
    observed = images if isinstance(images, Observations) else observe(graph, images, progress)
    plan = FormatPlan(graph, observed, method, chosen)
    if search is not None:
        plan = search(plan, progress)
    plan.check()
    lowering = Lowering(plan, roundings, bias_correction)
    steps = plan.steps
    for index, step in enumerate(steps):
        lowering.lower(step)
        if progress:
            progress(index + 1, len(steps), f"quantize {step.name}")
    return QuantizedGraph(
        name=graph.name,
        input=graph.input,
        input_shape=graph.input_shape,
        input_format=lowering.formats[graph.input],
        layers=tuple(lowering.layers),
        output=graph.output,
        scheme=chosen.name,
    )


class Lowering:
    """Quantized layers made one after another, with the sample's tensors as they come.

    Attributes
    ----------
    layers : list of QLayer
    formats : dict of Format
        Of every tensor made so far.
    tensors : dict of integer arrays
        The sample's codes of the tensors that a later step reads.
    values : dict of float32 tensors
        The same tensors in the float network.
    """

    def __init__(self, plan: FormatPlan, rounding: Rounding, bias_correction: bool) -> None:
        self.plan = plan
        self.rounding = rounding
        self.bias_correction = bias_correction
        graph, sample = plan.graph, plan.observed.sample
        self.readers = {name: step for step in plan.steps for name in step.inputs}
        self.layers: list[QLayer] = []
        self.formats: dict[str, Format] = {graph.input: plan.wish(graph.input)}
        codes = quantize_values(sample, self.formats[graph.input])
        self.tensors = {graph.input: codes.astype(storage(self.formats[graph.input]))}
        self.values = {graph.input: torch.from_numpy(sample)}

    def lower(self, step: Step) -> None:
        """Make the layers of a step and run the sample through them."""
        made = len(self.layers)
        with torch.no_grad():
            for float_layer in step.layers:
                inputs = [self.values[name] for name in float_layer.inputs]
                self.values[float_layer.name] = run_float_layer(float_layer, inputs)
        if isinstance(step.layer, Conv):
            layer = self._conv(step, step, self.plan.wish(step.name))
            if layer is not None:
                self._emit(layer)
            else:
                alone, add = step.split()
                convolution = self._conv(alone, step, self.plan.inner(alone.name, step))
                assert convolution is not None  # only a residual can be refused
                self._emit(convolution)
                self._other(add)
        elif isinstance(step.layer, Concat):
            self._concat(step)
        else:
            self._other(step)
        done = {name for name in step.inputs if self.readers[name] is step}
        done |= {layer.name for layer in step.layers}
        done |= {layer.name for layer in self.layers[made:]}
        done.discard(step.name)
        for name in done:
            self.tensors.pop(name, None)
            self.values.pop(name, None)

    def _emit(self, layer: QLayer) -> None:
        layer = self.rounding.apply(layer)
        inputs = [self.tensors[name] for name in layer.inputs]
        formats = [self.formats[name] for name in layer.inputs]
        self.tensors[layer.name] = run_layer(layer, inputs, formats)
        self.formats[layer.name] = layer.format
        self.layers.append(layer)

    def _conv(self, step: Step, whole: Step, wish: Format) -> QConv | None:
        """The convolution of a step, which is ``whole`` or what was split from it.

        None if its residual does not fit.
        """
        assert isinstance(step.layer, Conv)
        inputs = [self.tensors[name] for name in step.inputs]
        formats = [self.formats[name] for name in step.inputs]
        values = self.values[step.inputs[0]].numpy()
        graph = self.plan.graph
        seen = LayerInputs(
            inputs[0],
            formats[0],
            values,
            centered=self.bias_correction,
            first=step.inputs[0] == graph.input,
            last=step.name == graph.output,
        )
        scheme = self.plan.weights(whole)
        codes, fraction = scheme.quantize_weights(step.layer, seen)
        limits = SUMS[max(scheme.width, *map(width_of, [*formats, wish]))]
        layer = lower_conv(step, formats, wish, codes, fraction, scheme.name, limits)
        if layer is None or not self.bias_correction:
            return layer
        target = self.values[step.summed].mean(dim=(0, 2, 3), dtype=torch.float64).numpy()
        return correct_bias(layer, inputs, formats, target)

    def _other(self, step: Step) -> None:
        formats = [self.formats[name] for name in step.inputs]
        self._emit(lower_step(step, formats, self.plan.wish(step.name)))

    def _concat(self, step: Step) -> None:
        """A concatenation whose inputs all have its format, requantized where they differ."""
        wish = self.plan.wish(step.name)
        renamed = {}
        for name in step.inputs:
            if self.formats[name] != wish and name not in renamed:
                renamed[name] = f"{step.name}.{name}"
                shape = self.tensors[name].shape[1:]
                self._emit(requantizer(renamed[name], name, shape, self.formats[name], wish))
        layer = lower_step(step, [wish] * len(step.inputs), wish)
        inputs = tuple(renamed.get(name, name) for name in step.inputs)
        self._emit(replace(layer, inputs=inputs))
