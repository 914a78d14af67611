"""Small networks and sensitivities for tests of allocation."""

import numpy as np
import torch
from torch import nn

from quant.allocation.sensitivity import Sensitivity
from quant.allocation.tables import WIDTHS
from quant.importers import load

__all__ = ["images", "sensitivity", "small_graph"]


def small_graph(seed=0):
    """Two convolutions and a classifier of 4 x 4 images."""
    torch.manual_seed(seed)
    return load(
        nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 16, 4),
        ).eval(),
        (2, 4, 4),
    )


def images(count=64, seed=0):
    """Random images of :func:`small_graph`."""
    return np.random.default_rng(seed).normal(size=(count, 2, 4, 4)).astype(np.float32)


def sensitivity(channels=(8, 16, 4), elements=(9, 72, 144), seed=0):
    """Costs that fall by four a bit, of channels that differ much."""
    random = np.random.default_rng(seed)
    names = [f"layer{i}" for i in range(len(channels))]
    costs = {
        name: np.exp(random.normal(0, 2, (count, 1))) * 4.0 ** -np.array(WIDTHS)
        for name, count in zip(names, channels, strict=True)
    }
    return Sensitivity("log", "nearest", "output", costs, dict(zip(names, elements, strict=True)))
