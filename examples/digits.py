"""The whole chain from Python: train, quantize, compile, run on the hardware model, verify.

Run with ``python examples/digits.py``.
"""

import numpy as np

import nomul
from nomul.digits import trained
from nomul.images import load_images

SHAPE = (1, 8, 8)


def main() -> None:
    """Prints the accuracy on the hardware and checks three images layer by layer."""
    network = trained()
    calibration = load_images("digits", SHAPE, train=True, count=256)
    test = load_images("digits", SHAPE)

    graph = nomul.load(network, input_shape=SHAPE)
    qgraph = nomul.quantize(graph, calibration.x, scheme="log4")
    program = nomul.compile(qgraph, "tiny")

    answers = program.run(test.x, engine="rtl").argmax(axis=1)
    print(f"accuracy on the RTL: {np.mean(answers == test.labels):.1%}")

    verification = program.verify(test.x[:3])
    print(f"{len(verification.rows)} layers equal, {verification.rtl_cycles} cycles an image")


if __name__ == "__main__":
    main()
