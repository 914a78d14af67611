"""The shell: what all engines share."""

from functools import lru_cache
from typing import Any

from compiler.model.logic import Terms
from rtl.architecture import Architecture
from rtl.features import bank_count

__all__ = ["shell_terms"]


@lru_cache(maxsize=1024)
def sum_bits(config: Any) -> int:
    """Width of a sum of an engine's config; some work, and asked for often."""
    return config.sum_bits


def shell_terms(architecture: Architecture) -> dict[str, Terms]:
    """Terms of every block but the engine. Wide blocks grow with the words that pass by them."""
    a, memory = architecture, architecture.memory
    config = a.engine_config
    sums = a.lanes * a.groups
    code = a.lanes * a.activation_bits
    banks = bank_count(a.vector_words)
    spread = a.groups * a.vector_words * code * (banks > 1)
    address = (memory.feature_words - 1).bit_length()
    shift = a.pass_shift_bits
    one = {"one": 1.0}
    nests: Terms = {
        "lut": {**one, "address": address, "vector": a.vector_words * (banks > 1)},
        "ff": {**one, "address": address},
    }
    return {
        "nests": nests,
        "control": {
            "lut": {**one, "code": code, "weight": config.weight_bits},
            "ff": {
                **one,
                "shift": shift,
                "address": address,
                "parameter": a.lanes * a.accumulator_bits,
                "code": code,
            },
        },
        "fetch": {
            "lut": {**one, "spread": spread, "words": a.groups * a.vector_words},
            "ff": {
                "groups": a.groups,
                "words": a.groups * a.vector_words,
                "code": a.groups * a.vector_words * code,
            },
        },
        "features": {
            "lut": {**one, "residual": code, "banks": a.groups * banks},
            "ff": one,
        },
        "pool": {
            "lut": {"code": a.groups * code, "sums": sums},
            "ff": {"code": a.groups * code, "sums": sums},
        },
        "accumulator": {
            "lut": {
                "sums": sums,
                "bits": sums * a.accumulator_bits,
                "shift": sums * sum_bits(config) * shift,
                "added": sums * sum_bits(config),
            },
            "ff": {
                "bits": sums * a.accumulator_bits,
                "shift": sums * shift,
                "added": sums * sum_bits(config),
            },
        },
        "post": {
            "lut": {
                "lanes": a.lanes,
                "bits": a.lanes * a.accumulator_bits,
                "code": code,
                "logarithmic": a.lanes * a.logarithmic,
                "member": sums * a.accumulator_bits * (a.groups > 1),
            },
            "ff": {
                "lanes": a.lanes,
                "bits": a.lanes * a.accumulator_bits,
                "code": code,
                "logarithmic": a.lanes * a.logarithmic,
            },
        },
    }
