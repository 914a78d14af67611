"""Every figure of the chain, measured: ``python -m benchmarks.chain [--json FILE] [--quick]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/chain.json`` and marked.
"""

from benchmarks import measure
from benchmarks.figures import Benchmark, Figure, at_least, at_most, equals, free

__all__ = ["CHAIN", "main"]


def loss(key: str, images: str, published: str = "", bar: bool = False) -> Figure:
    """Top-1 points that quantization cost."""
    holds = at_most(0.5) if bar else free
    return Figure(key, "<= 0.5" if bar else "", holds, f"points lost, {images}", published, ".2f")


JPEG, LOSSLESS = "10,000 JPEG images", "1,000 lossless images"
TRAINED = "none without training; with: APoT 4/4 bit 0.51, INQ 5 bit 1.11"
DIGITS = "digits, 360 held-out images"
MACHINE = "a ResNet-20 image, w4r+, zynq7020 (1,536 MACs)"

FIGURES = (
    Figure("demo.accuracy.float", ">= 97", at_least(97), DIGITS, form=".2f"),
    Figure(
        "demo.accuracy.reference",
        ">= float - 1",
        lambda value, values: value >= values["demo.accuracy.float"] - 1,
        DIGITS,
        form=".2f",
    ),
    Figure(
        "demo.accuracy.rtl", "= reference", equals("demo.accuracy.reference"), DIGITS, form=".2f"
    ),
    Figure("demo.verify.layers", "", free, "layers compared on every image"),
    Figure("demo.verify.mismatches", "0", at_most(0), "tensors that differ in any stage"),
    Figure("demo.cycles.predicted", "", free, "compiler", form=",d"),
    Figure("demo.cycles.rtl", "= predicted", equals("demo.cycles.predicted"), "RTL", form=",d"),
    Figure("demo.synth.lut", "", free, "Yosys, xc7z020", form=",d"),
    Figure("demo.synth.dsp", "0", at_most(0), "Yosys, xc7z020"),
    Figure("demo.synth.bram", "", free, "Yosys, xc7z020, 36 kbit"),
    Figure("demo.seconds", "< 120", at_most(120), "tools and machine built before", form=".0f"),
    loss("resnet20.int8.loss", JPEG, bar=True),
    loss("resnet20.log4.loss", JPEG, TRAINED),
    loss("resnet20-original.int8.loss", LOSSLESS, bar=True),
    loss("resnet20-original.log4.loss", LOSSLESS, TRAINED),
    loss("resnet8.int8.loss", LOSSLESS, "0.30, TensorFlow Lite's int8 file", bar=True),
    loss("resnet8.log4.loss", LOSSLESS),
    Figure("layers.checked", ">= 1000", at_least(1000), "random layers", form=",d"),
    Figure("layers.mismatches", "0", at_most(0), "against torch and ONNX Runtime", form=",d"),
    Figure("networks.checked", "4", at_least(4), "ResNet-20 and -8, int8 and w4r+", form=",d"),
    Figure("networks.images", ">= 8 each", at_least(8), "on the RTL, of each network", form=",d"),
    Figure("networks.mismatches", "0", at_most(0), "tensors that differ in any stage", form=",d"),
    Figure("cycles.predicted", "", free, MACHINE, form=",d"),
    Figure("cycles.rtl", "= predicted", equals("cycles.predicted"), MACHINE, form=",d"),
    Figure("rtl.seconds_per_image", "< 2", at_most(2), MACHINE, form=".2f"),
    Figure("program.seconds_per_image", "< 5", at_most(5), MACHINE, form=".2f"),
    Figure(
        "reference.images_per_second",
        ">= 200",
        at_least(200),
        "ResNet-20, log4, batches of 64",
        form=",.0f",
    ),
    Figure("resnet20.busy", ">= 0.75", at_least(0.75), "share of MAC slots, w4r+", form=".3f"),
)

SHORT = (
    ("Demo", measure.demo),
    ("ResNet-20 on zynq7020", measure.resnet20_machine),
    ("Integer reference: images a second", measure.reference_speed),
)
CHAIN = Benchmark(
    "chain",
    "Figures of the chain",
    FIGURES,
    quick=(*SHORT, ("Random layers against torch and ONNX Runtime", measure.layers_quick)),
    long=(
        *SHORT,
        ("Random layers against torch and ONNX Runtime", measure.layers),
        ("Whole networks on the RTL, 8 images each", measure.networks),
        ("Accuracy on all test images", measure.accuracy),
    ),
)
main = CHAIN.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.chain")
