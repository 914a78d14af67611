import numpy as np

from compiler.compile import compile
from compiler.disassemble import disassemble
from quant.graph import Window
from tests.random_networks import NetworkBuilder


def test_text():
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(0))
    net.max_pool(net.conv("input", 4), Window((2, 2), (2, 2)))
    program = compile(net.graph("small"), "tiny")
    lines = disassemble(program).splitlines()
    assert lines[0] == "; small (random) for tiny"
    assert lines[2].startswith("; input  input [3, 6, 6], signed 8 bits * 2**-4, words ")
    layers = [line for line in lines if line.startswith("; layer ")]
    assert layers[0].startswith("; layer 0 layer0: Conv of input, ")
    assert layers[1].startswith("; layer 1 layer1: MaxPool of layer0, ")
    code = [line for line in lines if line and not line.startswith(";")]
    assert len(code) == len(program.instructions)
    assert code[0].split()[:2] == ["0", "check"]
    assert code[-1].split()[1:] == ["halt"]
    # A layer's first instruction follows its comment, its RUN is its last.
    assert (
        lines.index(layers[1]) == 1 + lines.index("") + lines[lines.index("") + 1 :].index("") + 1
    )
    assert any("run" in line and "path=engine" in line for line in code)
