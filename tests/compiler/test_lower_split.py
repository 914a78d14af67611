import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.settings import Run, execute
from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QRequantize
from quant.stochastic import lfsr_states
from rtl.isa import Nest, Opcode
from tests.machines import split_machine
from tests.random_networks import NetworkBuilder

MACHINE = split_machine()


def convolution(bits=8, channels=4, outputs=4, **changes):
    """A network of one convolution whose fields are changed."""
    net = NetworkBuilder((channels, 6, 6), np.random.default_rng(0), bits)
    net.conv("input", outputs, Window((3, 3)))
    wide = Format(bits, True, 0)
    net.layers[0] = dataclasses.replace(
        net.layers[0], **{"format": wide, "low": wide.low, "high": wide.high} | changes
    )
    return net.graph()


def runs(graph, machine=MACHINE):
    """What each run of a compiled network has set, read at its time."""
    found = []
    for event in execute(machine, compile(graph, machine).instructions.tolist()):
        if isinstance(event, Run):
            settings = event.settings
            post, widths = (settings.get(op) for op in (Opcode.REQUANTIZE, Opcode.WIDTHS))
            found.append((widths, post, event.counts(Nest.OUTPUT)))
    return found


@pytest.mark.parametrize("weight, width", [(127, 0), (-128, 0), (128, 1), (1 << 15, 2)])
def test_weights_decide_the_width(weight, width):
    weights = np.zeros((4, 4, 3, 3), np.int32)
    weights[0, 0, 0, 0] = weight
    ((widths, _, _),) = runs(convolution(weight=weights))
    assert widths["run"] == width
    assert widths["activation"] == widths["output"] == 0


def test_a_word_of_narrow_outputs_is_written_by_several_blocks():
    weights = np.full((13, 4, 3, 3), 1 << 15, np.int32)
    graph = convolution(outputs=13, weight=weights)
    ((_, _, counts),) = runs(graph)
    # Thirteen channels are four blocks of a run of 32 bits, and one word.
    assert counts[2:] == [4, 1]


def test_a_map_in_several_runs_goes_on_in_the_noise():
    seed = 12345
    graph = convolution(channels=40, rounding="stochastic", seed=seed)
    found = runs(graph, split_machine(accumulator_words=16, weight_words=1 << 12))
    assert [post["stochastic"] for _, post, _ in found] == [1] * len(found)
    position, states = 0, lfsr_states(seed, 16)
    for _, post, counts in found:
        assert post["seed"] == states[position]
        position += counts[0] * counts[1]
    assert position == 16


REFUSED = {
    "sums": (dict(bias=np.full(4, 1 << 60)), 16, "62 bits, accumulators of 16-bit codes have 56"),
    "bias": (dict(bias=np.full(4, 1 << 40)), 8, "sums reach .* takes 42 bits"),
    "shift": (dict(shift=np.full(4, 32, np.int32)), 8, r"32 are outside 0 \.\. 31"),
    "weights": (dict(weight=np.full((4, 4, 3, 3), 1 << 40, np.int64)), 8, "weights of 42 bits"),
}


@pytest.mark.parametrize("changes, bits, message", REFUSED.values(), ids=REFUSED)
def test_refused(changes, bits, message):
    with pytest.raises(NoMulError, match=f"layer layer0: .*{message}"):
        compile(convolution(bits, **changes), MACHINE)


def test_codes_beyond_31_bits():
    graph = convolution(format=Format(32, False, 0), low=0, high=(1 << 32) - 1)
    with pytest.raises(NoMulError, match="tensor layer0 has codes up to 4294967295"):
        compile(graph, MACHINE)


def test_a_shift_to_the_left_alone():
    net = NetworkBuilder((4, 3, 3), np.random.default_rng(0))
    fmt = Format(16, True, 4)
    net.add(QRequantize("copy", ("input",), (4, 3, 3), fmt, fmt.low, fmt.high, 5, 2))
    ((widths, _, _),) = runs(net.graph())
    # A weight of 2**3 on the engine, codes of 8 bits to codes of 16.
    assert (widths["run"], widths["activation"], widths["output"]) == (1, 0, 1)
