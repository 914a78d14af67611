import numpy as np
import pytest

from nomul.images import PREPROCESSINGS, Images, accuracy, load_images
from quant.errors import NoMulError

SHAPE = (3, 4, 4)


@pytest.fixture
def saved(tmp_path):
    def save(array=None, name="images.npy", **arrays):
        path = tmp_path / name
        if arrays:
            np.savez(path, **arrays)
        else:
            np.save(path, array)
        return str(path)

    return save


def test_float_images_are_taken_as_they_are(saved):
    x = np.random.default_rng(0).normal(size=(5, *SHAPE))
    images = load_images(saved(x), SHAPE, count=2)
    assert images.x.dtype == np.float32 and images.labels is None
    np.testing.assert_array_equal(images.x, x[:2].astype(np.float32))


def test_uint8_images_are_preprocessed(saved):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    images = load_images(saved(pixels), SHAPE, preprocess=PREPROCESSINGS["imagenet"](3))
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(images.x, expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_labels_come_along(saved):
    x, y = np.zeros((3, *SHAPE), np.float32), np.array([2, 0, 1], np.uint8)
    images = load_images(saved(name="a.npz", x=x, y=y), SHAPE)
    assert images.labels.tolist() == [2, 0, 1] and len(images) == 3


def test_the_digits_are_there_without_a_folder():
    test = load_images("digits", (1, 8, 8), count=16)
    train = load_images("digits", (1, 8, 8), train=True, count=16)
    assert test.x.shape == train.x.shape == (16, 1, 8, 8)
    assert (test.x.min(), test.x.max()) == (0.0, 1.0)
    assert len(set(test.labels.tolist())) > 5


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 5, 5), np.float32), r"the shape \(3, 5, 5\), the network takes \(3, 4, 4"),
        (np.zeros((3, 4, 4), np.float32), r"the shape \(4, 4\)"),
        (np.zeros((2, 3, 4, 4), np.int64), "holds int64; give float images"),
        (np.zeros((2, 4, 4, 1), np.uint8), "uint8"),
        (np.zeros((0, 3, 4, 4), np.float32), "holds no images"),
        (np.full((1, 3, 4, 4), np.nan, np.float32), r"the value at \(0, 0, 0, 0\) is nan"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(saved, array, message):
    with pytest.raises(NoMulError, match=message):
        load_images(saved(array), SHAPE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.float32(3), "holds one number"),
        (np.full((1, *SHAPE), 1e300), r"the value at \(0, 0, 0, 0\) is inf in float32"),
    ],
)
def test_numbers_that_are_no_images(saved, array, message):
    with pytest.raises(NoMulError, match=message):
        load_images(saved(array), SHAPE)


@pytest.mark.parametrize("labels", [["a", "b"], [0.5, np.nan], [0, -1]])
def test_labels_that_are_no_classes(saved, labels):
    with pytest.raises(NoMulError, match="no class numbers"):
        load_images(saved(name="a.npz", x=np.zeros((2, *SHAPE)), y=np.array(labels)), SHAPE)


def test_features_are_images_of_one_pixel(saved):
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    images = load_images(saved(x), (7, 1, 1))
    np.testing.assert_array_equal(images.x[:, :, 0, 0], x)


def test_accuracy_needs_labels_that_the_network_has():
    batch = Images(np.zeros((2, 1, 1, 1), np.float32), np.array([1, 3]), "a.npz")
    assert accuracy(np.array([[0, 1, 0, 0], [1, 0, 0, 0]]), batch) == 50
    with pytest.raises(NoMulError, match="the label 3, the network only 3 outputs"):
        accuracy(np.zeros((2, 3)), batch)


def test_files_that_are_no_images(saved, tmp_path):
    with pytest.raises(NoMulError, match="neither a data set"):
        load_images("photo.png", SHAPE)
    with pytest.raises(NoMulError, match="does not exist"):
        load_images("missing.npy", SHAPE)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(NoMulError, match="no readable NumPy file"):
        load_images(str(broken), SHAPE)
    with pytest.raises(NoMulError, match="has no array x"):
        load_images(saved(name="b.npz", images=np.zeros(1)), SHAPE)
    with pytest.raises(NoMulError, match="one label an image"):
        load_images(saved(name="c.npz", x=np.zeros((2, *SHAPE)), y=np.zeros(3)), SHAPE)


def test_no_images_asked_for():
    with pytest.raises(NoMulError, match="0 images were asked for"):
        load_images("digits", (1, 8, 8), count=0)


def test_a_missing_data_folder_is_named(monkeypatch):
    monkeypatch.delenv("NOMUL_DATA", raising=False)
    with pytest.raises(NoMulError, match="NOMUL_DATA"):
        load_images("mnist", (1, 28, 28))
