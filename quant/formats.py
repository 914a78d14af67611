"""Which format each quantized tensor should have."""

from dataclasses import dataclass, replace
from functools import cached_property

from quant.calibrate import Method, Observations
from quant.fusion import Step, fuse, sole_reader
from quant.graph import Concat, Graph, MaxPool, Upsample
from quant.numbers import Format
from quant.schemes import Scheme

__all__ = ["FormatPlan"]


@dataclass(frozen=True)
class FormatPlan:
    """Formats by calibration, chosen where the values are used.

    A tensor that only a max pooling, an upsampling or a concatenation reads gets the format of
    what that layer makes, because these do not change codes: saturation is monotonic, so values
    that a pooling or the clip after it drops anyway may saturate before it.
    """

    graph: Graph
    observed: Observations
    method: Method
    scheme: Scheme

    @cached_property
    def steps(self) -> list[Step]:
        """The graph's steps."""
        return fuse(self.graph, lambda tensor: self._observed(tensor).fraction)

    def wish(self, tensor: str) -> Format:
        """The format for a tensor; a layer that cannot make it lowers the fraction.

        The network's input is linear, because no layer makes it.
        """
        if tensor == self.graph.input:
            return replace(self._wish(tensor), logarithmic=False)
        return self._wish(tensor)

    def _wish(self, tensor: str) -> Format:
        return self._observed(self.decider(tensor))

    def decider(self, tensor: str) -> str:
        """The tensor whose values decide on the format of this one: mostly itself."""
        reader = sole_reader(self.graph, tensor)
        if isinstance(reader, MaxPool | Upsample | Concat):
            step = next(step for step in self.steps if step.layer is reader)
            return self.decider(step.name)
        return tensor

    def _observed(self, tensor: str) -> Format:
        """The format by the tensor's own values."""
        histogram = self.observed.histograms[tensor]
        activations = self.scheme.activations_of(tensor)
        fraction = self.method(histogram, activations.bits)
        return activations.format(histogram.signed, fraction)
