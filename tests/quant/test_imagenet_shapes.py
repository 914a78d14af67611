import pytest

from quant.errors import NoMulError
from quant.graph import Conv
from quant.imagenet_shapes import IMAGENET_SHAPES, imagenet_shape


@pytest.mark.parametrize(
    ("name", "gigamacs", "millions"),
    # Of torchvision's documentation: GFLOPS as multiply-adds, and parameters, batch norm left out.
    [
        ("vgg16", 15.47, 138.34),
        ("resnet18", 1.81, 11.68),
        ("resnet34", 3.66, 21.78),
        ("resnet50", 4.09, 25.50),
    ],
)
def test_sizes_are_the_published_ones(name, gigamacs, millions):
    convs = [layer for layer in imagenet_shape(name).layers if isinstance(layer, Conv)]
    macs = sum(conv.weight.size * conv.shape[1] * conv.shape[2] for conv in convs)
    assert round(macs / 1e9, 2) == gigamacs
    assert round(sum(conv.weight.size for conv in convs) / 1e6, 2) == pytest.approx(
        millions, abs=0.01
    )


def test_weights_take_no_memory():
    for name in IMAGENET_SHAPES:
        convs = [layer for layer in imagenet_shape(name).layers if isinstance(layer, Conv)]
        assert all(not any(conv.weight.strides) for conv in convs)


def test_an_unknown_shape_is_refused():
    with pytest.raises(NoMulError, match="no shape lenet; known are vgg16, resnet18"):
        imagenet_shape("lenet")
