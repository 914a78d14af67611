"""Which format each quantized tensor should have."""

from dataclasses import dataclass

from quant.calibrate import Method, Observations
from quant.fusion import Step, sole_reader
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
    steps: list[Step]
    observed: Observations
    method: Method
    scheme: Scheme

    def wish(self, tensor: str) -> Format:
        """The format for a tensor; a layer that cannot make it lowers the fraction."""
        reader = sole_reader(self.graph, tensor)
        if isinstance(reader, MaxPool | Upsample | Concat):
            step = next(step for step in self.steps if step.layer is reader)
            return self.wish(step.name)
        histogram = self.observed.histograms[tensor]
        bits = self.scheme.activation_bits(tensor)
        return Format(bits, histogram.signed, self.method(histogram, bits))
