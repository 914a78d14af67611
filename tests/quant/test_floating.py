"""The float oracle against torch's own modules, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from quant.errors import NoMulError
from quant.floating import compare_import, run_float, visit_float
from quant.graph import Add, AvgPool, Clip, Concat, Conv, Graph, Layer, MaxPool, Upsample, Window

SHAPE = (2, 6, 5)


def graph_of(*layers) -> Graph:
    return Graph("test", "x", SHAPE, layers, layers[-1].name)


def batch(images: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((images, *SHAPE)).astype(np.float32)


def run_one(layer, images: int = 5) -> torch.Tensor:
    return torch.from_numpy(run_float(graph_of(layer), batch(images))["y"])


def test_convolution():
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((4, 1, 3, 2)).astype(np.float32)
    bias = rng.standard_normal(4).astype(np.float32)
    window = Window((3, 2), (2, 1), (1, 0, 2, 3), (1, 2))
    layer = Conv("y", ("x",), (4, *window.output_size(6, 5)), weight, bias, window, 2)
    padded = F.pad(torch.from_numpy(batch()), (0, 3, 1, 2))
    expected = F.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), (2, 1), 0, (1, 2), 2
    )
    assert torch.equal(run_one(layer), expected)
    assert expected.shape[1:] == layer.shape


def test_pooling():
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    x = torch.from_numpy(batch())
    largest = run_one(MaxPool("y", ("x",), (2, 3, 3), window))
    assert torch.equal(largest, F.max_pool2d(x, 3, 2, 1))
    mean = run_one(AvgPool("y", ("x",), (2, 3, 3), window))
    torch.testing.assert_close(mean, F.avg_pool2d(x, 3, 2, 1))
    spread = run_one(AvgPool("y", ("x",), (2, 2, 1), Window((2, 2), dilation=(4, 4))))
    expected = (x[:, :, :2, :1] + x[:, :, 4:, :1] + x[:, :, :2, 4:] + x[:, :, 4:, 4:]) / 4
    torch.testing.assert_close(spread, expected)


def test_elementwise_and_rearranging():
    x = torch.from_numpy(batch())
    assert torch.equal(run_one(Clip("y", ("x",), SHAPE, -0.5, np.inf)), x.clamp(min=-0.5))
    assert torch.equal(run_one(Add("y", ("x", "x"), SHAPE)), 2 * x)
    assert torch.equal(run_one(Concat("y", ("x", "x"), (4, 6, 5))), torch.cat([x, x], 1))
    up = run_one(Upsample("y", ("x",), (2, 12, 15), (2, 3)))
    assert torch.equal(up, F.interpolate(x, scale_factor=(2, 3)))


def chain() -> Graph:
    return graph_of(
        Clip("a", ("x",), SHAPE, 0.0, 1.0),
        Clip("b", ("a",), SHAPE, 0.5, 1.0),
        Add("c", ("a", "b"), SHAPE),
    )


def test_tensors_come_in_order_and_batches():
    seen = []
    visit_float(chain(), batch(5), lambda name, values: seen.append((name, len(values))), batch=3)
    assert seen == [(name, count) for count in (3, 2) for name in "xabc"]


def test_what_is_kept():
    everything = run_float(chain(), batch(5), batch=2)
    assert set(everything) == {"x", "a", "b", "c"}
    np.testing.assert_array_equal(everything["x"], batch(5))
    kept = run_float(chain(), batch(5), keep=["c"])
    assert set(kept) == {"c"}
    np.testing.assert_array_equal(kept["c"], everything["c"])


def test_a_read_only_batch_is_copied():
    x = batch()
    x.flags.writeable = False
    np.testing.assert_array_equal(run_float(chain(), x)["x"], x)


def test_the_input_itself_is_never_changed():
    x = batch()
    before = x.copy()
    run_float(chain(), x)
    np.testing.assert_array_equal(x, before)


def test_compare_import():
    x = batch()
    output = run_float(chain(), x)["c"]
    assert compare_import(chain(), output, x) == 0
    output[0, 0, 0, 0] += 0.5
    assert compare_import(chain(), output, x) == pytest.approx(0.5 / np.abs(output).max())
    assert compare_import(chain(), output * 0, x) > 0
    with pytest.raises(NoMulError, match="test gives 60 values an image, the original 2"):
        compare_import(chain(), np.zeros((5, 2)), x)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((0, *SHAPE), np.float32),
        np.zeros(SHAPE, np.float32),
        np.zeros((1, 2, 5, 6), np.float32),
        np.zeros((1, *SHAPE)),
        np.zeros((1, *SHAPE), np.uint8),
    ],
)
def test_other_batches_are_refused(x):
    with pytest.raises(NoMulError, match=r"the input of test is .* give float32 with the shape"):
        run_float(chain(), x)


def test_an_unknown_layer_is_a_defect():
    with pytest.raises(TypeError, match="y is a Layer"):
        run_one(Layer("y", ("x",), SHAPE))
