import numpy as np
import pytest

from compiler.mapping.flat import flattened
from quant.graph import Window
from tests.compiler.mapping.convolutions import convolution


@pytest.mark.parametrize(
    "window, size, flat",
    [
        (Window(), (6, 5), (30, (1, 1))),
        (Window((6, 5)), (6, 5), (30, (1, 30))),
        (Window((1, 1), (2, 2)), (6, 5), None),
        (Window((1, 1), padding=(1, 0, 0, 0)), (6, 5), None),
        (Window((3, 3)), (6, 5), None),
        (Window(), (60, 60), None),  # more words than a machine counts columns
        (Window(), (1, 9), None),
    ],
)
def test_rows_that_do_not_matter(window, size, flat):
    task = convolution(np.ones((8, 16, *window.kernel), int), window, size=size)
    found = flattened(task)
    if flat is None:
        assert found is task
    else:
        columns, kernel = flat
        assert found.input.shape == (16, 1, columns)
        assert found.window.kernel == found.weight.shape[2:] == kernel
        assert found.output.shape == (8, 1, task.output.shape[1] * task.output.shape[2])
