"""Convolutions on ``svpe``: weights of one term in one pass, others in several."""

from functools import partial

import numpy as np

from compiler.mapping.convolver import map_with, outline, timing, unfolding_of, ways
from compiler.mapping.passes import choose_passes
from rtl.architecture import Architecture

__all__ = ["count_passes", "map_convolution", "outline", "timing", "unfolding_of", "ways"]


def passes(
    architecture: Architecture, name: str, weights: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """See :func:`~compiler.mapping.passes.choose_passes`."""
    return choose_passes(architecture, architecture.engine_config.plan.format, name, weights)


def count_passes(architecture: Architecture, name: str, weights: np.ndarray) -> int:
    """See :mod:`compiler.mapping`."""
    return len(passes(architecture, name, weights)[0])


map_convolution = partial(map_with, passes)
