"""The demo: the whole chain on handwritten digits, from training to the count of LUTs."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from boards.parts import load_part
from boards.synth import SynthReport, synthesize
from compiler.compile import compile as compile_graph
from compiler.program import Program
from nomul.blocks import block
from nomul.digits import trained
from nomul.images import accuracy, load_images
from nomul.imported import import_error
from nomul.output import stage, table
from nomul.programs import images_per_second
from nomul.synthesis import synthesis_figures, synthesis_table
from nomul.tables import verification_table
from nomul.verification import Verification
from nomul.verify import verify
from quant.importers import load
from quant.quantize import quantize
from quant.reference import predict

__all__ = ["Demo", "run_demo"]

SHAPE = (1, 8, 8)
CALIBRATION = 256
SCHEME = "w4"
ARCHITECTURE = "tiny"
PART = "xc7z020"


@dataclass(frozen=True)
class Demo:
    """What the demo found; accuracies in percent of the held-out images."""

    float_accuracy: float
    reference_accuracy: float
    rtl_accuracy: float
    program: Program
    verification: Verification
    synthesis: SynthReport
    seconds: float

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "accuracy.float": self.float_accuracy,
            "accuracy.reference": self.reference_accuracy,
            "accuracy.rtl": self.rtl_accuracy,
            **self.verification.to_dict(),
            "images_per_second": images_per_second(self.program),
            "clock_mhz": self.program.architecture.clock_mhz,
            **synthesis_figures(self.synthesis),
            "seconds": self.seconds,
        }

    def problem(self) -> str | None:
        """The first thing that is not as it must be, in a line."""
        lost = self.float_accuracy - self.reference_accuracy
        dsp = self.synthesis.total.dsp
        return self.verification.problem() or next(
            (
                text
                for fails, text in (
                    (
                        self.float_accuracy < 97,
                        f"float accuracy {self.float_accuracy:.1f} % < 97 %",
                    ),
                    (lost > 1, f"quantization lost {lost:.2f} points of accuracy, more than 1"),
                    (dsp > 0, f"the machine takes {dsp:g} DSP, it must take none"),
                )
                if fails
            ),
            None,
        )

    def show(self) -> None:
        """Print the tables."""
        arch = self.program.architecture
        verification_table(self.verification, f"Digits in {self.program.scheme} on {arch.name}")
        synthesis_table(self.synthesis)
        used, share = self.synthesis.total, self.synthesis.share
        names = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "BRAM36"}
        table(
            "Demo",
            ["figure", "value"],
            [
                ["accuracy, float", f"{self.float_accuracy:.2f} %"],
                ["accuracy, quantized", f"{self.reference_accuracy:.2f} %"],
                ["accuracy, RTL", f"{self.rtl_accuracy:.2f} %"],
                ["cycles an image, predicted", self.verification.predicted],
                ["cycles an image, RTL", self.verification.rtl_cycles],
                [
                    f"images a second at {arch.clock_mhz:g} MHz",
                    f"{images_per_second(self.program):,.0f}",
                ],
                *(
                    [
                        f"{title} of {self.synthesis.part.name}",
                        f"{getattr(used, name):,g} ({share(name):.1%})",
                    ]
                    for name, title in names.items()
                ),
                ["seconds", f"{self.seconds:.0f}"],
            ],
        )


def run_demo() -> Demo:
    """Train, quantize, compile, verify every held-out image on the RTL, synthesize."""
    begin = time.monotonic()
    test = load_images("digits", SHAPE)
    calibration = load_images("digits", SHAPE, train=True, count=CALIBRATION)
    with stage("Train a small residual CNN on 1,437 handwritten digits") as progress:
        network = trained(progress)
        with torch.no_grad():
            scores = network(torch.from_numpy(test.x)).numpy()
    with stage("Import it") as progress:
        graph = load(network, SHAPE, "digits")
        error = import_error(network, graph, test.x)
    with stage(f"Quantize to {SCHEME}: every weight one signed power of two") as progress:
        qgraph = quantize(graph, calibration.x, scheme=SCHEME, progress=progress)
        reference = predict(qgraph, test.x)
    with stage(f"Compile for {ARCHITECTURE}"):
        program = compile_graph(qgraph, ARCHITECTURE)
    with stage(f"Verify {len(test)} held-out images, layer by layer, on the RTL") as progress:
        verification = verify(qgraph, program, test.x, progress, error)
    with stage(f"Synthesize for {PART}") as progress:
        part = load_part(PART)
        design = block("machine", program.architecture, part.family)
        synthesis = synthesize(design, part, progress.say)
    return Demo(
        accuracy(scores, test),
        accuracy(reference, test),
        accuracy(np.stack(verification.outputs), test),
        program,
        verification,
        synthesis,
        time.monotonic() - begin,
    )
