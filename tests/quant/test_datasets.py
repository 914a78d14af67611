"""Data sets: shapes, order of classes, lazily decoded images, and what is refused."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from quant.datasets import (
    Dataset,
    JpegImages,
    calibration_images,
    cifar10_jpeg,
    cifar10_lossless,
    digits,
    mnist,
)
from quant.errors import NoMulError

needs_data = pytest.mark.skipif("NOMUL_DATA" not in os.environ, reason="NOMUL_DATA is not set")


def check(data: Dataset, train: int, test: int, image: tuple[int, int, int], classes: int) -> None:
    assert (len(data.train_images), len(data.train_labels)) == (train, train)
    assert data.train_images.shape == (train, *image)
    assert data.test_images.shape == (test, *image) and data.test_labels.shape == (test,)
    for images in (data.train_images, data.test_images):
        assert images.dtype == np.uint8
    for labels in (data.train_labels, data.test_labels):
        assert labels.dtype == np.uint8
        assert set(labels.tolist()) == set(range(classes))
    assert len(data.class_names) == classes


def test_digits_are_split_by_class_and_always_alike():
    data = digits()
    check(data, 1437, 360, (8, 8, 1), 10)
    assert data.test_images.max() == 16
    counts = np.bincount(data.test_labels)
    assert counts.min() >= 34 and counts.max() <= 37
    np.testing.assert_array_equal(digits().test_images, data.test_images)


@needs_data
def test_cifar10_jpeg():
    data = cifar10_jpeg()
    check(data, 50_000, 10_000, (32, 32, 3), 10)
    assert data.class_names[0] == "airplane" and data.class_names[9] == "truck"


@needs_data
def test_cifar10_lossless_and_jpeg_show_the_same_images():
    lossless, jpeg = cifar10_lossless(), cifar10_jpeg()
    check(lossless, 4000, 1000, (32, 32, 3), 10)
    assert lossless.class_names == jpeg.class_names
    path = os.path.join(os.environ["NOMUL_DATA"], "cifar10", "cifar10_lossless_subset.npz")
    with np.load(path) as archive:
        positions = archive["train_index"][:20]
    copies = jpeg.train_images[positions].astype(float)
    assert np.sqrt(np.mean((copies - lossless.train_images[:20]) ** 2)) < 12
    np.testing.assert_array_equal(jpeg.train_labels[positions], lossless.train_labels[:20])


@needs_data
def test_mnist():
    data = mnist()
    check(data, 60_000, 10_000, (28, 28, 1), 10)
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


def encoded(count: int) -> tuple[JpegImages, list[np.ndarray]]:
    """Flat grey images, which JPEG keeps exactly."""
    images = [np.full((8, 6, 3), 10 * i, np.uint8) for i in range(count)]
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=100)
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offset = np.concatenate([[0], np.cumsum([len(file) for file in files])])
    return JpegImages(np.concatenate(files), offset), images


def test_jpeg_images_are_indexed_like_an_array():
    jpeg, images = encoded(7)
    whole = np.stack(images)
    assert len(jpeg) == 7 and jpeg.shape == whole.shape and jpeg.dtype == whole.dtype
    np.testing.assert_array_equal(np.asarray(jpeg), whole)
    for index in (0, -1, np.int64(3), slice(1, 6, 2), np.array([5, 0, 5]), [2, 1], slice(0, 0)):
        np.testing.assert_array_equal(jpeg[index], whole[index])
    with pytest.raises(IndexError):
        jpeg[7]


def test_calibration_images_are_mixed_different_and_seeded():
    images = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    data = Dataset(images, np.zeros(200, np.uint8), images, np.zeros(200, np.uint8), ("a",))
    sample = calibration_images(data, 50, seed=1)
    assert sample.shape == (50, 1, 1, 1) and len(np.unique(sample)) == 50
    assert sample.min() < 30 and sample.max() > 170
    np.testing.assert_array_equal(sample, calibration_images(data, 50, seed=1))
    assert (sample != calibration_images(data, 50, seed=2)).any()
    assert len(np.unique(calibration_images(data, 200))) == 200


@pytest.mark.parametrize("count", [0, -3, 1438])
def test_impossible_calibration_is_refused(count):
    with pytest.raises(NoMulError, match=f"calibration with {count} images .* ask for 1 to 1437"):
        calibration_images(digits(), count)


def test_missing_and_broken_files_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("NOMUL_DATA", raising=False)
    with pytest.raises(
        NoMulError, match=r"set NOMUL_DATA to the folder that holds mnist/mnist.npz"
    ):
        mnist()
    with pytest.raises(NoMulError, match=r"mnist/mnist.npz does not exist; the data folder must"):
        mnist(tmp_path)
    path = tmp_path / "mnist" / "mnist.npz"
    path.parent.mkdir()
    np.savez_compressed(path, train_x=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(NoMulError, match=r"mnist.npz has no array .*train_y"):
        mnist(tmp_path)
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(NoMulError, match=r"mnist.npz cannot be read .* get the file again"):
            mnist(tmp_path)
