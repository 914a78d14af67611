"""Images with labels: CIFAR-10 (official, JPEG, a lossless part), MNIST, scikit-learn's digits.

The files lie in a folder given as an argument or in the environment variable ``NOMUL_DATA``; the
digits come with scikit-learn and need none.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from quant.errors import NoMulError, first_line
from quant.official import CIFAR10_FOLDER, read_cifar10, read_mnist

__all__ = [
    "Dataset",
    "JpegImages",
    "calibration_images",
    "cifar10",
    "cifar10_jpeg",
    "cifar10_lossless",
    "digits",
    "mnist",
]

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
DIGITS_SEED = 0
DIGITS_TEST_SHARE = 0.2


class JpegImages(Sequence):
    """Images kept as JPEG files, decoded when they are taken out.

    ``images[index]`` is uint8: (rows, columns, channels) for an integer, with the images first for
    a slice or an array of positions; ``np.asarray(images)`` decodes all.

    Parameters
    ----------
    jpeg : uint8 (bytes,)
        All files, one after another.
    offset : int (images + 1,)
        Image ``i`` is ``jpeg[offset[i]:offset[i + 1]]``.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, jpeg: np.ndarray, offset: np.ndarray) -> None:
        self.jpeg = jpeg
        self.offset = offset

    def __len__(self) -> int:
        return len(self.offset) - 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(images, rows, columns, channels)."""
        return (len(self), *self._decode(0).shape)

    def __getitem__(self, index):
        if isinstance(index, int | np.integer):
            return self._decode(range(len(self))[index])
        positions = np.arange(len(self))[index]
        if not positions.size:
            return np.zeros((0, *self.shape[1:]), np.uint8)
        return np.stack([self._decode(position) for position in positions])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def _decode(self, position: int) -> np.ndarray:
        encoded = self.jpeg[self.offset[position] : self.offset[position + 1]].tobytes()
        with Image.open(io.BytesIO(encoded)) as image:
            return np.array(image.convert("RGB"))


@dataclass(frozen=True)
class Dataset:
    """Images and labels for training and test.

    Parameters
    ----------
    train_images, test_images : uint8 (images, rows, columns, channels)
        Arrays, or :class:`JpegImages`, which is indexed like one.
    train_labels, test_labels : uint8 (images,)
        Positions in ``class_names``.
    """

    train_images: np.ndarray | JpegImages
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]


def cifar10(folder: str | Path | None = None) -> Dataset:
    """CIFAR-10 from its batches for Python: 50,000 training images, 10,000 for test."""
    member = f"cifar10/{CIFAR10_FOLDER}"
    batches = data_folder(folder, member) / member
    if not batches.is_dir():
        raise NoMulError(
            f"{batches} does not exist; it must hold data_batch_1 to data_batch_5 and test_batch "
            "of CIFAR-10's Python version"
        )
    return Dataset(*read_cifar10(batches), CIFAR10_CLASSES)


def cifar10_jpeg(folder: str | Path | None = None) -> Dataset:
    """CIFAR-10 as JPEG, quality 75: 50,000 training images, 10,000 for test; sorted by class."""
    train = read_archive(folder, "cifar10/cifar10_jpeg_train.npz", ("jpeg", "offset", "y"))
    test = read_archive(folder, "cifar10/cifar10_jpeg_test.npz", ("x", "y", "class_names"))
    return Dataset(
        JpegImages(train["jpeg"], train["offset"]),
        train["y"],
        test["x"],
        test["y"],
        tuple(map(str, test["class_names"])),
    )


def cifar10_lossless(folder: str | Path | None = None) -> Dataset:
    """The first 4,000 training and 1,000 test images of CIFAR-10, as published."""
    data = read_archive(
        folder,
        "cifar10/cifar10_lossless_subset.npz",
        ("train_x", "train_y", "test_x", "test_y", "class_names"),
    )
    return Dataset(
        data["train_x"],
        data["train_y"],
        data["test_x"],
        data["test_y"],
        tuple(map(str, data["class_names"])),
    )


def mnist(folder: str | Path | None = None) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of 28 x 28, white on black.

    From ``mnist/mnist.npz``, or else from the official idx files in the folder ``mnist``.
    """
    member = "mnist/mnist.npz"
    root = data_folder(folder, member)
    names = tuple("0123456789")
    if not (root / member).exists() and any((root / "mnist").glob("train-images-idx3-ubyte*")):
        return Dataset(*read_mnist(root / "mnist"), names)
    data = read_archive(root, member, ("train_x", "train_y", "test_x", "test_y"))
    train_images, test_images = data["train_x"][..., None], data["test_x"][..., None]
    return Dataset(train_images, data["train_y"], test_images, data["test_y"], names)


def digits() -> Dataset:
    """scikit-learn's handwritten digits, 8 x 8, values 0 to 16: 1,437 for training, 360 for test.

    The split is stratified by class and always the same.
    """
    # Importing scikit-learn takes a second that the other data sets need not pay.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype(np.uint8)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images,
        labels.astype(np.uint8),
        test_size=DIGITS_TEST_SHARE,
        random_state=DIGITS_SEED,
        stratify=labels,
    )
    return Dataset(train_images, train_labels, test_images, test_labels, tuple("0123456789"))


def calibration_images(dataset: Dataset, count: int, seed: int = 0) -> np.ndarray:
    """``count`` different training images of mixed classes, in an order that ``seed`` fixes.

    Returns uint8 (count, rows, columns, channels). Errors: :class:`NoMulError` if ``count`` is
    not between 1 and the number of training images.
    """
    available = len(dataset.train_labels)
    if not 1 <= count <= available:
        raise NoMulError(
            f"calibration with {count} images is impossible; ask for 1 to {available} of them"
        )
    order = np.random.default_rng(seed).permutation(available)
    return dataset.train_images[order[:count]]


def data_folder(folder: str | Path | None, member: str) -> Path:
    """``folder``, or ``NOMUL_DATA``, which should hold ``member``."""
    root = folder if folder is not None else os.environ.get("NOMUL_DATA")
    if root is None:
        raise NoMulError(
            f"no data folder is given; set NOMUL_DATA to the folder that holds {member}"
        )
    return Path(root)


def read_archive(
    folder: str | Path | None, member: str, arrays: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """The named arrays of one ``.npz`` file below ``folder`` (or ``NOMUL_DATA``)."""
    path = data_folder(folder, member) / member
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in arrays}
    except FileNotFoundError:
        raise NoMulError(
            f"{path} does not exist; the data folder must hold {member}, set NOMUL_DATA to it"
        ) from None
    except KeyError as error:
        raise NoMulError(f"{path} has no array {error}; get the file again") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise NoMulError(
            f"{path} cannot be read ({first_line(error)}); get the file again"
        ) from error
