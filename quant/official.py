"""CIFAR-10 and MNIST in the files that their authors publish.

CIFAR-10: the folder ``cifar-10-batches-py`` with ``data_batch_1`` to ``data_batch_5`` and
``test_batch``. MNIST: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, with ``.gz`` or without.
"""

import gzip
import io
import pickle
import zlib
from pathlib import Path

import numpy as np

from quant.errors import NoMulError, first_line

__all__ = ["CIFAR10_FOLDER", "Arrays", "read_cifar10", "read_mnist"]

CIFAR10_FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
ALLOWED = {
    "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
    "ndarray": ("numpy",),
    "dtype": ("numpy",),
    "_encode": ("_codecs",),
    "encode": ("_codecs",),
}
"""What the pickles of CIFAR-10 refer to, and its modules."""

IDX_UINT8 = 8

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images and labels, test images and labels: uint8 (images, rows, columns, channels)."""


def read_cifar10(folder: Path) -> Arrays:
    """The batches for Python in ``folder``.

    Errors: :class:`NoMulError` for a missing or unreadable file.
    """
    train = [_cifar_batch(folder / name) for name in TRAIN_BATCHES]
    test = _cifar_batch(folder / "test_batch")
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return images, labels, *test


def read_mnist(folder: Path) -> Arrays:
    """The idx files in ``folder``.

    Errors: :class:`NoMulError` for a missing or unreadable file.
    """
    arrays = []
    for part in ("train", "t10k"):
        images = _read_idx(folder / f"{part}-images-idx3-ubyte", 3)[..., None]
        labels = _read_idx(folder / f"{part}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise NoMulError(
                f"{folder} holds {len(images)} images and {len(labels)} labels of MNIST's {part} "
                "part; get the files again"
            )
        arrays += [images, labels]
    return arrays[0], arrays[1], arrays[2], arrays[3]


class _ArraysOnly(pickle.Unpickler):
    """A pickle may run any code; these hold arrays, so nothing else is allowed."""

    def find_class(self, module: str, name: str):
        if module not in ALLOWED.get(name, ()):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _cifar_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = _ArraysOnly(io.BytesIO(_read(path)), encoding="bytes").load()
        images = np.asarray(content[b"data"], np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(content[b"labels"], np.uint8)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise NoMulError(
            f"{path} is no batch of CIFAR-10 for Python ({first_line(error)}); get it again"
        ) from error
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """uint8 array of an idx file: two zeros, type, dimensions, sizes of 32 bits, then the data."""
    zipped = path.with_name(f"{path.name}.gz")
    try:
        content = gzip.decompress(_read(zipped)) if zipped.is_file() else _read(path)
        if content[:4] != bytes((0, 0, IDX_UINT8, dimensions)):
            raise ValueError(f"it begins with {content[:4].hex() or 'nothing'}")
        sizes = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise NoMulError(
            f"{path} is no idx file of {dimensions} dimensions ({first_line(error)}); get it again"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoMulError(f"{path} cannot be read ({error.strerror}); get it again") from error
