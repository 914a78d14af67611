"""Machines with external memory that tests of several folders share."""

from dataclasses import replace

from rtl.architecture import Architecture, External, load_architecture

__all__ = ["small_machine"]


def small_machine(patience: int = 1 << 20, **memory: int) -> Architecture:
    """``tiny`` with little memory on chip, and external memory."""
    base = load_architecture("tiny")
    sizes = {
        "feature_words": 256,
        "weight_words": 1024,
        "parameter_words": 64,
        "instruction_words": 128,
    }
    external = External(16, 8, 8, 70, 50, patience)
    return replace(base, memory=replace(base.memory, **sizes | memory), external=external)
