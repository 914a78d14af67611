"""Second moments against patches that torch unfolds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("centered", [False, True])
def test_moments(groups, centered):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (6, 4, 7, 6)).astype(np.int32)
    values = rng.standard_normal(codes.shape).astype(np.float32)
    window = Window((3, 2), (2, 1), (1, 0, 1, 1), (1, 2))
    weight = np.zeros((4, 4 // groups, 3, 2), np.float32)
    shape = (4, *window.output_size(7, 6))
    conv = Conv("c", ("x",), shape, weight, np.zeros(4, np.float32), window, groups)
    inputs = LayerInputs(codes, Format(8, False, 3), values, centered)
    size = weight[0].size
    qq, xq = inputs.moments(conv, slice(0, size))

    def patches(x: np.ndarray) -> np.ndarray:
        padded = F.pad(torch.from_numpy(x.astype(np.float32)), (0, 1, 1, 1))
        columns = F.unfold(padded, (3, 2), (1, 2), 0, (2, 1)).numpy()
        columns = columns.transpose(1, 0, 2).reshape(groups, size, -1).astype(np.float64)
        return columns - columns.mean(axis=2, keepdims=True) * centered

    q, x = patches(codes / 8), patches(values)
    count = q.shape[2]
    assert np.allclose(qq, q @ q.transpose(0, 2, 1) / count, rtol=1e-4, atol=1e-3)
    assert np.allclose(xq, x @ q.transpose(0, 2, 1) / count, rtol=1e-4, atol=1e-3)
    part, _ = inputs.moments(conv, slice(2, 5))
    assert np.allclose(part, qq[:, 2:5, 2:5], rtol=1e-4, atol=1e-3)
