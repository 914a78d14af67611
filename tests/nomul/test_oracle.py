import numpy as np
import pytest

from nomul.oracle import recompute
from quant.reference import run_reference
from tests.random_networks import random_codes, random_network


@pytest.mark.parametrize("seed", range(20))
def test_reference_and_oracle_agree(seed):
    graph = random_network(seed)
    tensors = run_reference(graph, random_codes(graph, 3, np.random.default_rng(seed)))
    for layer in graph.layers:
        found = recompute(layer, [tensors[name] for name in layer.inputs])
        np.testing.assert_array_equal(found, tensors[layer.name])
