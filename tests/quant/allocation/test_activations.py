import numpy as np
import pytest

from quant.allocation.activations import allocate_activations
from quant.errors import NoMulError
from tests.quant.allocation.networks import images, small_graph

GRAPH, X = small_graph(), images(48)


@pytest.mark.parametrize("mean", [4.0, 5.5, 8.0])
def test_within_the_mean(mean):
    found = allocate_activations(GRAPH, X, mean)
    assert len(found) == 2 and GRAPH.output not in found and GRAPH.input not in found
    values = [np.prod(GRAPH.shape_of(name)) for name in found]
    assert np.average(list(found.values()), weights=values) <= mean
    assert set(found.values()) <= {4, 5, 6, 7, 8}
    if mean == 8.0:
        assert set(found.values()) == {8}


def test_too_narrow():
    with pytest.raises(NoMulError, match="activations of 3 bits are too narrow; give 4 or more"):
        allocate_activations(GRAPH, X, 3.0)
