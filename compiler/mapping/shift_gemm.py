"""Convolutions on ``shift_gemm``: weights of the lanes' format in one pass, others in several."""

from functools import partial

import numpy as np

from compiler.mapping import Timing
from compiler.mapping.gemm import map_with, outline_with, tile_timing, ways
from compiler.mapping.passes import choose_passes
from compiler.mapping.weights import Coding
from compiler.rewrite import unfolding_of
from compiler.settings import Run
from rtl.architecture import Architecture
from rtl.engines.shift_gemm import ShiftGemm, ShiftGemmConfig

__all__ = ["coding", "count_passes", "map_convolution", "outline", "timing", "unfolding_of", "ways"]


def coding(architecture: Architecture, name: str, weights: np.ndarray) -> Coding:
    """See :func:`~compiler.mapping.passes.choose_passes`."""
    config: ShiftGemmConfig = architecture.engine_config
    fmt = config.format
    shifts, parts = choose_passes(architecture, fmt, name, weights)
    excess = partial(ShiftGemm.excess, config)
    return Coding(shifts, parts, fmt.bits, fmt.encode, excess, config.activation_bits)


def count_passes(architecture: Architecture, name: str, weights: np.ndarray) -> int:
    """See :mod:`compiler.mapping`."""
    return len(coding(architecture, name, weights).shifts)


def timing(config: ShiftGemmConfig, run: Run) -> Timing:
    """See :mod:`compiler.mapping`: a tile of weights is loaded while the one before it works."""
    settings = run.engine_settings(ShiftGemm.Settings)
    return tile_timing(config, settings["last_vector"] + 1, 1 << settings["split"])


map_convolution = partial(map_with, coding)
outline = partial(outline_with, {})
