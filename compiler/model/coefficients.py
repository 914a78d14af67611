"""Fitted coefficients, as ``python -m benchmarks.resource_fit`` wrote them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["FILE", "coefficients", "lane_cost"]

FILE = Path(__file__).with_name("coefficients.json")


@cache
def coefficients() -> dict[str, Any]:
    """``terms``: of each resource, block and term; ``lanes``: of each weight format, what a lane
    takes by width of activation and version."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@cache
def lane_cost(weights: str, activation_bits: int, version: str, resource: str) -> float:
    """What a lane of a column takes, its share of the adder tree included.

    Linear between the widths that were synthesized, and beyond.

    Parameters
    ----------
    weights : str
        Weight format.
    activation_bits : int
    version : str
        ``xc7``, ``generic`` or ``dsp``.
    resource : str
        ``lut`` or ``ff``.
    """
    by_width = coefficients()["lanes"][weights][version]
    (low, first), (high, last) = sorted((int(bits), cost) for bits, cost in by_width.items())
    share = (activation_bits - low) / (high - low)
    return first[resource] + share * (last[resource] - first[resource])
