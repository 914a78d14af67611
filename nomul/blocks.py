"""Every block of a machine by name, as it stands in the accelerator, to be looked at alone."""

from collections.abc import Callable

from amaranth.lib import wiring

from quant.errors import NoMulError
from rtl import engines
from rtl.accelerator import Accelerator
from rtl.accumulate import Accumulator
from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.features import FeatureMemory
from rtl.isa import LEVELS, Nest
from rtl.nest import LoopNest
from rtl.post import PostProcess, parameter_word
from rtl.sequencer import Sequencer
from rtl.store import Store

__all__ = ["BLOCKS", "make_block"]


def features(arch: Architecture) -> FeatureMemory:
    return FeatureMemory(arch.lanes * arch.activation_bits, arch.memory.feature_words)


def weights(arch: Architecture) -> Store:
    return Store(arch.engine_config.weight_bits, arch.memory.weight_words)


def parameters(arch: Architecture) -> Store:
    return Store(parameter_word(arch.accumulator_bits).size, arch.memory.parameter_words)


def nest(arch: Architecture) -> LoopNest:
    return LoopNest(LEVELS[Nest.ACTIVATION], features(arch).address_bits, True)


def fetch(arch: Architecture) -> ActivationFetch:
    return ActivationFetch(
        arch.lanes, arch.activation_bits, LEVELS[Nest.ACTIVATION], features(arch).address_bits
    )


def engine(arch: Architecture) -> wiring.Component:
    return engines.find(arch.engine)(arch.engine_config)


def accumulator(arch: Architecture) -> Accumulator:
    bypass_bits = arch.activation_bits + 1
    return Accumulator(
        lanes=arch.lanes,
        sum_bits=max(arch.engine_config.sum_bits, bypass_bits),
        bits=arch.accumulator_bits,
        words=arch.memory.accumulator_words,
        shift_bits=arch.pass_shift_bits,
        max_bits=bypass_bits,
    )


def post(arch: Architecture) -> PostProcess:
    return PostProcess(arch.lanes, arch.accumulator_bits, arch.activation_bits)


def sequencer(arch: Architecture) -> Sequencer:
    words, bits = arch.memory, features(arch).address_bits
    address_bits = {
        Nest.ACTIVATION: bits,
        Nest.WEIGHT: (words.weight_words - 1).bit_length(),
        Nest.SUM: (words.accumulator_words - 1).bit_length(),
        Nest.PARAMETER: (words.parameter_words - 1).bit_length(),
        Nest.RESIDUAL: bits,
        Nest.OUTPUT: bits,
    }
    return Sequencer(
        address_bits, arch.pass_shift_bits, words.instruction_words, arch.fingerprint
    )


BLOCKS: dict[str, Callable[[Architecture], wiring.Component]] = {
    "machine": Accelerator,
    "engine": engine,
    "nest": nest,
    "fetch": fetch,
    "features": features,
    "weights": weights,
    "parameters": parameters,
    "accumulator": accumulator,
    "post": post,
    "sequencer": sequencer,
}


def make_block(name: str, arch: Architecture) -> wiring.Component:
    """A block with the sizes of an architecture.

    Errors: :class:`NoMulError` for a name that is neither a block nor the machine's engine.
    """
    if name == arch.engine:
        name = "engine"
    if name not in BLOCKS:
        raise NoMulError(
            f"no block is named {name}; {arch.name} has {arch.engine}, {', '.join(BLOCKS)}"
        )
    return BLOCKS[name](arch)
