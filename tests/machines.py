"""Machines for tests, of any shape and with memory for random networks."""

from rtl.architecture import Architecture

__all__ = ["machine"]

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
    return Architecture.from_dict(
        {
            "name": f"test-{lanes}x{vector_words}x{groups}-{weights}",
            "part": "xc7z020",
            "clock_mhz": 100,
            "engine": {
                "kind": "shift_gemm",
                "lanes": lanes,
                "vector_words": vector_words,
                "groups": groups,
                "weights": weights,
                "dsp_columns": 0,
            },
            "numbers": {
                "activation_bits": activation_bits,
                "accumulator_bits": accumulator_bits,
                "pass_shift_bits": pass_shift_bits,
                "logarithmic": logarithmic,
            },
            "memory": {**ROOMY, **memory},
        }
    )
