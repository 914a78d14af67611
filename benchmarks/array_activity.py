"""Toggles of a shifting and a multiplying array on the same layer of ResNet-20.

Both work on the same 16-bit activations of real images; one with the layer's weights at n = 3, the
other with its weights of 16 bits. See :mod:`boards.activity` for what a toggle is.
"""

import dataclasses

import numpy as np
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from benchmarks.lone_array import SIZE, multiplying, shifting
from benchmarks.measure import network, quantized, test_images
from boards.activity import simulate
from nomul.sources import PRETRAINED_SHAPE
from quant.floating import run_float
from quant.graph import Conv
from quant.importers import load
from quant.quantized import QConv
from rtl.convolver.multiply import MultiplyArrays, added
from rtl.convolver.plan import SHIFT_PLANS

__all__ = ["Layer", "multiplied", "only_added", "real_layer", "shifted"]

NETWORK, LAYER = "resnet20", "layer2.1.relu1"
SCHEME, SHIFT_BITS = "w3", 3
BITS = 16
BEFORE = 2
"""Cycles from the load of a weight to the first window that it works on."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """What arrays of a 3 x 3 layer see: one image after another, some pairs of channels each.

    Parameters
    ----------
    windows : int64 [pairs, cycles, taps]
        Unsigned activations of each cycle.
    shifts, weights : int64 [pairs, taps]
        Weights of n = 3, and of 16 bits.
    macs : int
        Products that the layer asks for.
    """

    windows: np.ndarray
    shifts: np.ndarray
    weights: np.ndarray
    macs: int


def real_layer(pairs: int = 8, images: int = 1) -> Layer:
    """Pairs of an input and an output channel of the layer, for some test images."""
    sample = test_images(NETWORK, "cifar10-jpeg", images).x
    graph = load(network(NETWORK)[0], PRETRAINED_SHAPE, NETWORK)
    # The integer network's convolution has the activation behind it, and its name, inside.
    source = next(layer.inputs[0] for layer in graph.layers if layer.name == LAYER)
    conv = next(one for one in graph.layers if isinstance(one, Conv) and one.name == source)
    layers = quantized(NETWORK, SCHEME, "cifar10-jpeg").layers
    codes = next(one.weight for one in layers if isinstance(one, QConv) and one.name == LAYER)
    x = whole(run_float(graph, sample, [conv.inputs[0]])[conv.inputs[0]], BITS)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    channels = np.random.default_rng(0).integers(0, x.shape[1], (pairs, 2))
    windows = np.concatenate([swept(image[channels[:, 0]]) for image in padded], axis=1)
    outputs, inputs = channels[:, 1], channels[:, 0]
    shifts = codes[outputs, inputs].reshape(pairs, -1).astype(np.int64)
    weights = whole(conv.weight, BITS - 1)[outputs, inputs].reshape(pairs, -1)
    return Layer(windows, shifts, weights, pairs * images * x[0, 0].size * SIZE**2)


def whole(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of so many bits, without a sign, on the finest scale of a power of two: int64."""
    scale = bits - int(np.ceil(np.log2(np.abs(values).max())))
    most = (1 << bits) - 1
    return np.clip(np.rint(values * 2.0**scale), -most, most).astype(np.int64)


def swept(maps: np.ndarray) -> np.ndarray:
    """What stands at the taps when each pixel of maps ``[pairs, rows, columns]`` has come."""
    pairs, _, columns = maps.shape
    stream = maps.reshape(pairs, -1)
    behind = [(SIZE - 1 - i) * columns + SIZE - 1 - j for i in range(SIZE) for j in range(SIZE)]
    late = [np.pad(stream, ((0, 0), (n, 0)))[:, : stream.shape[1]] for n in behind]
    return np.stack(late, axis=-1)


def shifted(layer: Layer) -> float:
    """Toggles a MAC of the shifting array."""
    plan = SHIFT_PLANS[SHIFT_BITS]
    codes = plan.expand(plan.format.encode(layer.shifts))
    excess = plan.excess(layer.shifts, BITS).sum(axis=1)
    arrays = shifting(SHIFT_BITS, BITS, "xc7")
    return toggles(arrays, layer, packed(codes, plan.lane_bits), exact(layer, layer.shifts, excess))


class ProductAdders(wiring.Component):
    """What a multiplying array has besides its multipliers: their registers, and the adders."""

    def __init__(self) -> None:
        super().__init__(
            {
                "products": In(data.ArrayLayout(signed(2 * BITS), SIZE**2)),
                "sum": Out(signed(MultiplyArrays.sum_bits(1, SIZE, BITS, BITS))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.sum.eq(added(m, list(self.products), 2 * BITS, SIZE, "xc7"))
        return m


def only_added(layer: Layer) -> float:
    """Toggles a MAC of the multiplying array if its multipliers had none inside."""
    products = (layer.windows * layer.weights[:, None]).reshape(-1, SIZE**2)
    words = packed(products & (1 << 2 * BITS) - 1, 2 * BITS)
    waves = simulate(ProductAdders(), {"products": words})
    return waves.toggles / layer.macs


def multiplied(layer: Layer) -> float:
    """Toggles a MAC of the multiplying array, its multipliers as gates."""
    codes = packed(layer.weights & (1 << BITS) - 1, BITS)
    return toggles(multiplying(BITS, BITS, "xc7"), layer, codes, exact(layer, layer.weights))


def exact(layer: Layer, weights: np.ndarray, excess: np.ndarray | int = 0) -> np.ndarray:
    """Sums of all windows: int64 [pairs * cycles]."""
    sums = np.einsum("pct,pt->pc", layer.windows, weights)
    return (sums + np.reshape(excess, (-1, 1))).reshape(-1)


def toggles(arrays, layer: Layer, words: np.ndarray, sums: np.ndarray) -> float:
    """Toggles a MAC of an array, whose netlist must give the layer's sums."""
    waves = simulate(arrays, stimulus(layer, words), BEFORE)
    found = waves.outputs["sum"][BEFORE + arrays.latency :].astype(np.int64)
    if not np.array_equal(found, sums[: len(found)] & (1 << len(arrays.sum)) - 1):
        raise AssertionError("a netlist's sums are not those of the layer")
    return waves.toggles / layer.macs


def packed(fields: np.ndarray, bits: int) -> np.ndarray:
    """Fields ``[words, fields]`` of so many bits as Python integers, the first lowest."""
    places = [n * bits for n in range(fields.shape[1])]
    words = [sum(v << n for v, n in zip(row, places)) for row in fields.tolist()]
    return np.array(words, object)


def stimulus(layer: Layer, words: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of an array: the weights of a pair are loaded while those before work."""
    pairs, cycles, taps = layer.windows.shape
    total = BEFORE + pairs * cycles
    at = np.arange(pairs) * cycles
    load, switch = np.zeros(total, np.int64), np.zeros(total, np.int64)
    load[at], switch[at + 1] = 1, 1
    word = np.concatenate([words.repeat(cycles), words[-1:].repeat(BEFORE)])
    windows = np.concatenate([np.zeros((BEFORE, taps), np.int64), *layer.windows])
    window = packed(windows, BITS)
    return {"word": word, "load": load, "switch": switch, "window": window}
