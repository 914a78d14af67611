"""Machines for tests, of any shape and with memory for random networks."""

from rtl.architecture import Architecture

__all__ = ["codebook_machine", "convolver", "machine", "split_machine"]

ROOMY = {
    "feature_words": 8192,
    "weight_words": 1 << 17,
    "parameter_words": 1024,
    "accumulator_words": 256,
    "queue_words": 64,
    "instruction_words": 8192,
}


def machine(
    lanes: int = 8,
    vector_words: int = 1,
    groups: int = 1,
    weights: str = "w4",
    activation_bits: int = 8,
    accumulator_bits: int = 32,
    pass_shift_bits: int = 3,
    logarithmic: int = 0,
    **memory: int,
) -> Architecture:
    """A machine without DSP columns; ``memory`` changes sizes of its memories."""
    engine = {
        "kind": "shift_gemm",
        "lanes": lanes,
        "vector_words": vector_words,
        "groups": groups,
        "weights": weights,
        "dsp_columns": 0,
    }
    numbers = {
        "activation_bits": activation_bits,
        "accumulator_bits": accumulator_bits,
        "pass_shift_bits": pass_shift_bits,
        "logarithmic": logarithmic,
    }
    return built(f"{lanes}x{vector_words}x{groups}-{weights}", engine, numbers, memory)


def convolver(
    kind: str = "svpe",
    lanes: int = 8,
    vector_words: int = 1,
    groups: int = 2,
    kernel: int = 3,
    line_words: int = 64,
    weights: str = "",
    activation_bits: int = 8,
    **memory: int,
) -> Architecture:
    """A machine with arrays of processing elements; weights are those of a network of 8 bits."""
    engine = {
        "kind": kind,
        "lanes": lanes,
        "vector_words": vector_words,
        "groups": groups,
        "kernel": kernel,
        "line_words": line_words,
        "weights": weights or {"svpe": "n3", "vpe": "s8"}[kind],
    }
    numbers = {
        "activation_bits": activation_bits,
        "accumulator_bits": 32,
        "pass_shift_bits": 4,
        "logarithmic": 0,
    }
    name = f"{kind}-{lanes}x{vector_words}x{groups}-{kernel}-{engine['weights']}"
    return built(name, engine, numbers, memory)


def codebook_machine(
    lanes: int = 5,
    vector_words: int = 2,
    groups: int = 2,
    activation_bits: int = 8,
    **memory: int,
) -> Architecture:
    """A machine with codebook arrays."""
    engine = {
        "kind": "conv5x5",
        "lanes": lanes,
        "vector_words": vector_words,
        "groups": groups,
    }
    numbers = {
        "activation_bits": activation_bits,
        "accumulator_bits": 32,
        "pass_shift_bits": 4,
        "logarithmic": 0,
    }
    return built(f"conv5x5-{lanes}x{vector_words}x{groups}", engine, numbers, memory)


def split_machine(lanes: int = 4, place_bits: int = 28, **memory: int) -> Architecture:
    """A machine whose codes split."""
    engine = {"kind": "multiwidth", "lanes": lanes, "place_bits": place_bits}
    numbers = {
        "activation_bits": 32,
        "accumulator_bits": 4 * place_bits,
        "pass_shift_bits": 0,
        "logarithmic": 0,
    }
    return built(f"multiwidth-{lanes}-{place_bits}", engine, numbers, memory)


def built(name: str, engine: dict, numbers: dict, memory: dict) -> Architecture:
    return Architecture.from_dict(
        {
            "name": f"test-{name}",
            "part": "xc7z020",
            "clock_mhz": 100,
            "engine": engine,
            "numbers": numbers,
            "memory": {**ROOMY, **memory},
        }
    )
