"""Which format each quantized tensor should have."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from quant.calibrate import Method, Observations
from quant.fusion import Step, fuse, sole_reader
from quant.graph import Concat, Conv, Graph, MaxPool, Upsample
from quant.mixed import MixedScheme
from quant.numbers import Format
from quant.schemes import Scheme

__all__ = ["FormatPlan"]


@dataclass(frozen=True)
class FormatPlan:
    """Formats by calibration, chosen where the values are used.

    A tensor that only a max pooling, an upsampling or a concatenation reads gets the format of
    what that layer makes, because these do not change codes: saturation is monotonic, so values
    that a pooling or the clip after it drops anyway may saturate before it.

    Parameters
    ----------
    graph : Graph
    observed : Observations
    method : function (histogram, bits) to fraction
    scheme : MixedScheme
    fractions : dict of int
        Of tensors for which the method is not asked.

    """

    graph: Graph
    observed: Observations
    method: Method
    scheme: MixedScheme
    fractions: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse widths of tensors that have no format of their own.

        Errors: :class:`~quant.errors.NoMulError`.
        """
        if self.scheme.widths:
            weights = [step.name for step in self.steps if isinstance(step.layer, Conv)]
            self.scheme.check(self.free, weights)

    @cached_property
    def steps(self) -> list[Step]:
        """The graph's steps; which they are does not hang on the widths of tensors."""

        def fraction(tensor: str) -> int:
            fmt = self._observed(tensor)
            return fmt.fraction - fmt.bits

        return fuse(self.graph, fraction)

    @cached_property
    def free(self) -> list[str]:
        """Tensors whose format is their own: the input and what steps make, in data order."""
        tensors = [self.graph.input, *(step.name for step in self.steps)]
        return [name for name in tensors if self.decisive(name) == name]

    def wish(self, tensor: str) -> Format:
        """The format for a tensor; a layer that cannot make it lowers the fraction.

        The network's input is linear, because no layer makes it.
        """
        fmt = self._observed(self.decisive(tensor))
        return replace(fmt, logarithmic=False) if tensor == self.graph.input else fmt

    def inner(self, tensor: str, step: Step) -> Format:
        """The format for a tensor within a step that is split: as wide as what the step makes."""
        return self._observed(tensor, self.decisive(step.name))

    def weights(self, step: Step) -> Scheme:
        """The scheme of a step's weights."""
        return self.scheme.weights(step.name, self.decisive(step.name))

    def decisive(self, tensor: str) -> str:
        """The tensor by whose values a tensor's format is chosen."""
        end = self._end(tensor)
        step = self._makers.get(end)
        if step is not None and isinstance(step.layer, MaxPool | Upsample):
            source = step.inputs[0]
            # What other layers read too keeps its own format, and so does what is made of it.
            return end if self._end(source) == end else self.decisive(source)
        return end

    def _end(self, tensor: str) -> str:
        """The last tensor of a chain of layers that alone read each other and change no codes."""
        reader = sole_reader(self.graph, tensor)
        if isinstance(reader, MaxPool | Upsample | Concat):
            step = next(step for step in self.steps if step.layer is reader)
            return self._end(step.name)
        return tensor

    @cached_property
    def _makers(self) -> dict[str, Step]:
        """Steps by the tensor that each makes."""
        return {step.name: step for step in self.steps}

    def _observed(self, tensor: str, decisive: str | None = None) -> Format:
        """The format by a tensor's own values, as wide as the decisive tensor, by default it."""
        histogram = self.observed.histograms[tensor]
        activations = self.scheme.activations(decisive or tensor)
        bits = activations.code_bits(histogram.signed)
        key = (tensor, bits)
        if key not in self._calibrated:
            given = self.fractions.get(tensor)
            self._calibrated[key] = self.method(histogram, bits) if given is None else given
        return activations.format(histogram.signed, self._calibrated[key])

    @cached_property
    def _calibrated(self) -> dict[tuple[str, int], int]:
        """Fractions of tensors of so many bits, as far as they were asked for."""
        return {}
