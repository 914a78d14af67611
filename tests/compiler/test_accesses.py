import numpy as np

from compiler.accesses import accesses
from compiler.compile import compile
from quant.graph import Window
from rtl.registers import Register
from tests.machines import split_machine
from tests.random_networks import NetworkBuilder


def counted(bits):
    """A convolution of a row of 16 channels with a residual, at one width."""
    net = NetworkBuilder((16, 1, 36), np.random.default_rng(0), bits)
    net.conv("input", 16, Window((1, 9), padding=(0, 4, 0, 4)), residual="input")
    machine = split_machine()
    return accesses(machine, compile(net.graph(), machine).instructions.tolist())


def test_words_of_a_convolution():
    """All fall with the number of codes of a field."""
    positions, taps, fields = 36, 9, 4
    for bits, parts in ((8, 4), (16, 2), (32, 1)):
        blocks = 16 // (fields * parts)
        # A step for each part of each word of each tap.
        steps = taps * 16 // fields
        assert counted(bits) == {
            Register.FEATURES_READ: positions * steps * blocks,
            Register.WEIGHTS_READ: fields * steps * blocks,
            Register.SUMS_ADDED: positions * steps * blocks,
            Register.PARAMETERS_READ: positions * blocks,
            Register.RESIDUALS_READ: positions * blocks,
            Register.OUTPUTS_WRITTEN: positions * blocks,
        }
