"""Images for calibration, runs and accuracy: from a data set by name or from a file."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant import datasets
from quant.errors import NoMulError
from quant.graph import Shape
from quant.networks import IMAGENET, Preprocessing

__all__ = ["PREPROCESSINGS", "Images", "accuracy", "load_images"]

PREPROCESSINGS = {
    "raw": lambda channels: preprocessing(1.0, channels),
    "unit": lambda channels: preprocessing(1 / 255, channels),
    "digits": lambda channels: preprocessing(1 / 16, channels),
    "imagenet": lambda channels: IMAGENET,
}
"""By name: pixels as they are, divided by 255, by 16, with ImageNet's mean and deviation."""


def preprocessing(scale: float, channels: int) -> Preprocessing:
    """Pixels times a scale."""
    return Preprocessing(scale, (0.0,) * channels, (1.0,) * channels)


@dataclass(frozen=True)
class Images:
    """A batch of network inputs, with labels where they are known.

    Parameters
    ----------
    x : float32 (count, channels, height, width)
    labels : int64 (count,) or None
    source : str
        Where they came from, for messages and tables.
    """

    x: np.ndarray
    labels: np.ndarray | None
    source: str

    def __len__(self) -> int:
        return len(self.x)


DATASETS = {
    "cifar10": datasets.cifar10,
    "cifar10-jpeg": datasets.cifar10_jpeg,
    "cifar10-lossless": datasets.cifar10_lossless,
    "mnist": datasets.mnist,
    "digits": lambda folder: datasets.digits(),
}


def load_images(
    source: str,
    shape: Shape,
    *,
    train: bool = False,
    count: int | None = None,
    preprocess: Preprocessing | None = None,
    folder: str | Path | None = None,
) -> Images:
    """A batch that fits a network with the input ``shape``.

    Parameters
    ----------
    source : str
        ``cifar10``, ``cifar10-jpeg``, ``cifar10-lossless``, ``mnist``, ``digits``, or a ``.npy``
        or ``.npz`` file. A file holds float (count, channels, height, width) or (count, features),
        taken as it is, or uint8 (count, height, width, channels), which is preprocessed; a
        ``.npz`` holds it as ``x`` and may hold labels as ``y``.
    shape : (channels, height, width)
    train : bool
        Of a data set the training images, mixed, not the test images.
    count : int, optional
        How many; all where it is not given.
    preprocess : Preprocessing, optional
        For uint8 images; by default ``digits`` for the digits and ``unit`` for others.
    folder : path, optional
        Where the data sets lie; ``NOMUL_DATA`` where it is not given.

    Errors: :class:`NoMulError` for a missing or unreadable file, another shape or type, values
    that are not finite, and no images at all.
    """
    if count is not None and count < 1:
        raise NoMulError(f"{source}: {count} images were asked for; ask for 1 or more")
    if source in DATASETS:
        data = DATASETS[source](folder)
        if train:
            count = len(data.train_labels) if count is None else count
            pixels, labels = datasets.calibration_images(data, count), None
        else:
            pixels, labels = data.test_images, data.test_labels
            if count is not None and count < len(pixels):
                # A part of a test set that is sorted by class must be mixed.
                part = np.sort(np.random.default_rng(0).permutation(len(pixels))[:count])
                pixels, labels = pixels[part], labels[part]
    else:
        pixels, labels = read_file(source)
        pixels, labels = pixels[:count], None if labels is None else labels[:count]
    if pixels.dtype == np.uint8 and pixels.shape[1:] != (*shape[1:], shape[0]):
        raise NoMulError(
            f"{source} holds uint8 pixels of the shape {pixels.shape[1:]}, the network takes "
            f"{(*shape[1:], shape[0])}: (height, width, channels)"
        )
    prepare = preprocess or PREPROCESSINGS["digits" if source == "digits" else "unit"](shape[0])
    x = prepare(pixels) if pixels.dtype == np.uint8 else pixels
    return Images(check(x, shape, source), labels, source)


def read_file(source: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The arrays of a ``.npy`` or ``.npz`` file."""
    path = Path(source)
    if path.suffix not in (".npy", ".npz"):
        raise NoMulError(
            f"{source} is neither a data set ({', '.join(DATASETS)}) nor a .npy or .npz file"
        )
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError:
        raise NoMulError(f"{source} does not exist; check the path") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise NoMulError(f"{source} is no readable NumPy file ({error}); save it again") from error
    if "x" not in arrays:
        raise NoMulError(
            f"{source} has no array x, only {', '.join(arrays) or 'none'}; "
            "save the images as x and labels as y"
        )
    pixels = arrays["x"]
    if not pixels.ndim:
        raise NoMulError(f"{source} holds one number; give images (count, ...)")
    return pixels, check_labels(arrays["y"], len(pixels), source) if "y" in arrays else None


def check_labels(labels: np.ndarray, count: int, source: str) -> np.ndarray:
    """The labels as int64, if there is a class number an image."""
    if labels.shape != (count,):
        raise NoMulError(
            f"{source} has {count} images x and labels y of the shape {labels.shape}; "
            "give one label an image"
        )
    if not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise NoMulError(
            f"{source} has labels y that are no class numbers ({labels.dtype}); give whole numbers "
            "from 0 on"
        )
    return labels.astype(np.int64)


def check(x: np.ndarray, shape: Shape, source: str) -> np.ndarray:
    """The batch as float32, if the network can take it."""
    if not np.issubdtype(x.dtype, np.floating):
        raise NoMulError(
            f"{source} holds {x.dtype}; give float images (count, {', '.join(map(str, shape))}) "
            f"or uint8 (count, {shape[1]}, {shape[2]}, {shape[0]})"
        )
    if x.ndim == 2 and shape[1:] == (1, 1):
        x = x[:, :, None, None]
    if x.shape[1:] != shape:
        raise NoMulError(
            f"{source} holds images of the shape {x.shape[1:]}, the network takes {shape}: "
            "(channels, height, width)"
        )
    if not len(x):
        raise NoMulError(f"{source} holds no images; give one or more")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(x).all():
        position = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NoMulError(
            f"{source}: the value at {position} is {x[position]} in float32; images are finite"
        )
    return x


def accuracy(scores: np.ndarray, batch: Images) -> float:
    """Percent of the images whose label has the largest of the ``scores`` (count, ...).

    Errors: :class:`NoMulError` for a label beyond the scores.
    """
    if batch.labels is None:
        raise ValueError(f"{batch.source} has no labels")
    rows = scores.reshape(len(scores), -1)
    largest = int(batch.labels.max())
    if largest >= rows.shape[1]:
        raise NoMulError(
            f"{batch.source} has the label {largest}, the network only {rows.shape[1]} outputs; "
            "take images that belong to the network"
        )
    return 100 * float(np.mean(rows.argmax(axis=1) == batch.labels))
