"""What a machine takes of a part, without synthesis.

Block RAMs and DSP blocks are counted exactly. Look-up tables and flip-flops of a block are sums of
terms (:mod:`compiler.model.logic`) whose coefficients are fitted to machines that Yosys
synthesized; memories in look-up tables are counted and come on top.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.model.coefficients import coefficients
from compiler.model.logic import MEASURED, Terms, find
from compiler.model.logic.shell import shell_terms
from compiler.model.memories import Mapped, map_memory
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.features import bank_count
from rtl.isa import INSTRUCTION_BITS, SHIFT

__all__ = ["FAMILIES", "Estimate", "all_terms", "estimate", "memories"]

FAMILIES = ("xc7", "xcup")


@dataclass(frozen=True)
class Estimate:
    """Look-up tables, flip-flops, DSP blocks and block RAMs of 36 kbit."""

    lut: float
    ff: float
    dsp: int
    bram: float


def memories(architecture: Architecture, family: str) -> Iterator[tuple[str, Mapped]]:
    """What each memory takes, and the block it is in."""
    a, memory = architecture, architecture.memory
    word, sums = a.lanes * a.activation_bits, a.lanes * a.groups * a.accumulator_bits
    banks = bank_count(a.vector_words)
    sizes = [
        ("features", word, memory.feature_words),
        *[("features", word, memory.feature_words // banks)] * (a.groups * banks),
        ("weights", a.engine_config.weight_bits, memory.weight_words),
        ("parameters", a.lanes * (a.accumulator_bits + SHIFT.width), memory.parameter_words),
        ("accumulator", sums, memory.accumulator_words),
        ("queue", sums, memory.queue_words),
        ("sequencer", INSTRUCTION_BITS, memory.instruction_words),
    ]
    own = find(a.engine).memory(a.engine_config)
    if own is not None:
        sizes.append(("engine", *own))
    for block, width, depth in sizes:
        yield block, map_memory(width, depth, family)


def all_terms(architecture: Architecture, family: str) -> dict[str, Terms]:
    """Terms of all blocks; those of an engine are under its name."""
    engine = find(architecture.engine).terms(architecture, family)
    return {**shell_terms(architecture), architecture.engine: engine}


def estimate(architecture: Architecture, family: str) -> Estimate:
    """What a machine takes on a family.

    Errors: :class:`NoMulError` for a family without fitted machines.
    """
    if family not in FAMILIES:
        raise NoMulError(
            f"the resource model knows no family {family}; take a part of {', '.join(FAMILIES)}"
        )
    fitted = coefficients()["terms"]
    logic = {"lut": 0.0, "ff": 0.0}
    for block, terms in all_terms(architecture, family).items():
        for resource, values in terms.items():
            known = {MEASURED: 1.0, **fitted[resource][block]}
            # A term that no fitted machine had costs nothing that is known.
            logic[resource] += sum(known.get(name, 0.0) * value for name, value in values.items())
    mapped = [found for _, found in memories(architecture, family)]
    return Estimate(
        lut=logic["lut"] + sum(found.lut for found in mapped),
        ff=logic["ff"] + sum(found.ff for found in mapped),
        dsp=find(architecture.engine).dsp_blocks(architecture.engine_config),
        bram=sum(found.bram for found in mapped),
    )
