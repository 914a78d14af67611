"""Every block of a machine by name, as it stands in the accelerator, to be looked at alone."""

from collections.abc import Callable

import click

from quant.errors import NoMulError
from rtl import engines
from rtl.accelerator import Accelerator
from rtl.accumulate import Accumulator
from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.design import Design
from rtl.features import FeatureMemory
from rtl.isa import LEVELS, Nest
from rtl.nest import LoopNest
from rtl.post import PostProcess, parameter_word
from rtl.sequencer import Sequencer
from rtl.store import Store

__all__ = ["BLOCKS", "block", "block_option"]

WALK = LEVELS[Nest.ACTIVATION]


def feature_address_bits(arch: Architecture) -> int:
    """Width of an address in both banks."""
    return bits_of(2 * arch.memory.feature_words)


def bits_of(words: int) -> int:
    """Width of an address of so many words."""
    return (words - 1).bit_length()


def accumulator(arch: Architecture) -> tuple:
    """Arguments of the accumulator; a code on the path BYPASS has a sign bit more."""
    bypass_bits = arch.activation_bits + 1
    sum_bits = max(arch.engine_config.sum_bits, bypass_bits)
    words, shift_bits = arch.memory.accumulator_words, arch.pass_shift_bits
    return arch.lanes, sum_bits, arch.accumulator_bits, words, shift_bits, bypass_bits


def sequencer(arch: Architecture) -> tuple:
    """Arguments of the sequencer."""
    sizes, features = arch.memory, feature_address_bits(arch)
    address_bits = {
        Nest.ACTIVATION: features,
        Nest.WEIGHT: bits_of(sizes.weight_words),
        Nest.SUM: bits_of(sizes.accumulator_words),
        Nest.PARAMETER: bits_of(sizes.parameter_words),
        Nest.RESIDUAL: features,
        Nest.OUTPUT: features,
    }
    return address_bits, arch.pass_shift_bits, sizes.instruction_words, arch.fingerprint


BLOCKS: dict[str, Callable[[Architecture], tuple[type, tuple]]] = {
    "machine": lambda arch: (Accelerator, (arch,)),
    "engine": lambda arch: (engines.find(arch.engine), (arch.engine_config,)),
    "nest": lambda arch: (LoopNest, (WALK, feature_address_bits(arch), True)),
    "fetch": lambda arch: (
        ActivationFetch,
        (arch.lanes, arch.activation_bits, WALK, feature_address_bits(arch)),
    ),
    "features": lambda arch: (
        FeatureMemory,
        (arch.lanes * arch.activation_bits, arch.memory.feature_words),
    ),
    "weights": lambda arch: (Store, (arch.engine_config.weight_bits, arch.memory.weight_words)),
    "parameters": lambda arch: (
        Store,
        (parameter_word(arch.accumulator_bits).size, arch.memory.parameter_words),
    ),
    "accumulator": lambda arch: (Accumulator, accumulator(arch)),
    "post": lambda arch: (PostProcess, (arch.lanes, arch.accumulator_bits, arch.activation_bits)),
    "sequencer": lambda arch: (Sequencer, sequencer(arch)),
}


def block(name: str, arch: Architecture) -> Design:
    """A block with the sizes of an architecture; the top module has its name.

    Errors: :class:`NoMulError` for a name that is neither a block nor the machine's engine.
    """
    key = "engine" if name == arch.engine else name
    if key not in BLOCKS:
        raise NoMulError(
            f"no block is named {name}; {arch.name} has {arch.engine}, {', '.join(BLOCKS)}"
        )
    kind, arguments = BLOCKS[key](arch)
    return Design(kind, arguments, name)


# Beside its choices, so that verbs without blocks need not load the hardware.
block_option = click.option(
    "--block",
    "name",
    default="machine",
    show_default=True,
    help=f"{', '.join(BLOCKS)}, or the engine's own name.",
)
