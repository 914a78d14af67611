"""Published files of CIFAR-10 and MNIST: what they hold, and what is refused."""

import gzip
import pickle

import numpy as np
import pytest

from quant.datasets import cifar10, mnist
from quant.errors import NoMulError
from quant.official import CIFAR10_FOLDER


@pytest.fixture
def batches(tmp_path):
    """A folder with CIFAR-10's batches, four images each; images and labels in their order."""
    folder = tmp_path / "cifar10" / CIFAR10_FOLDER
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (24, 32, 32, 3)).astype(np.uint8)
    labels = random.integers(0, 10, 24)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for index, name in enumerate(names):
        part = slice(4 * index, 4 * index + 4)
        data = images[part].transpose(0, 3, 1, 2).reshape(4, -1)
        content = {
            b"batch_label": name.encode(),
            b"labels": labels[part].tolist(),
            b"data": data,
            b"filenames": [b"x.png"] * 4,
        }
        # The published pickles name numpy's modules as they were.
        pickled = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(pickled.replace(b"numpy._core.", b"numpy.core."))
    return tmp_path, images, labels


def test_cifar10(batches):
    root, images, labels = batches
    data = cifar10(root)
    assert np.array_equal(data.train_images, images[:20]) and data.train_images.dtype == np.uint8
    assert np.array_equal(data.test_images, images[20:])
    assert data.train_labels.tolist() + data.test_labels.tolist() == labels.tolist()
    assert data.class_names[3] == "cat" and len(data.class_names) == 10


def test_a_pickle_that_would_run_code_is_refused(batches):
    class Attack:
        def __reduce__(self):
            return print, ("code has run",)

    path = batches[0] / "cifar10" / CIFAR10_FOLDER / "data_batch_3"
    path.write_bytes(pickle.dumps({b"data": Attack(), b"labels": []}))
    with pytest.raises(NoMulError, match=r"data_batch_3 is no batch of CIFAR-10.*builtins.print"):
        cifar10(batches[0])


def test_missing_and_broken_batches(batches, tmp_path):
    folder = batches[0] / "cifar10" / CIFAR10_FOLDER
    (folder / "data_batch_2").write_bytes(b"nothing")
    with pytest.raises(NoMulError, match="data_batch_2 is no batch of CIFAR-10"):
        cifar10(batches[0])
    (folder / "data_batch_2").unlink()
    with pytest.raises(NoMulError, match=r"data_batch_2 cannot be read .No such file"):
        cifar10(batches[0])
    with pytest.raises(NoMulError, match="must hold data_batch_1 to data_batch_5 and test_batch"):
        cifar10(tmp_path / "elsewhere")


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


@pytest.fixture
def files(tmp_path):
    """A folder with MNIST's idx files, as they are: (folder, images, labels)."""
    (tmp_path / "mnist").mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (9, 28, 28)).astype(np.uint8)
    labels = random.integers(0, 10, 9).astype(np.uint8)
    for part, chosen in (("train", slice(6)), ("t10k", slice(6, 9))):
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(idx(images[chosen]))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[chosen]))
    return tmp_path, images, labels


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(files, zipped):
    root, images, labels = files
    if zipped:
        for path in list((root / "mnist").iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    data = mnist(root)
    assert np.array_equal(data.train_images[..., 0], images[:6])
    assert np.array_equal(data.test_images[..., 0], images[6:])
    assert data.train_labels.tolist() + data.test_labels.tolist() == labels.tolist()


def test_broken_idx_files(files):
    folder = files[0] / "mnist"
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(2, np.uint8)))
    with pytest.raises(NoMulError, match="3 images and 2 labels of MNIST's t10k part"):
        mnist(files[0])
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x09short")
    with pytest.raises(NoMulError, match="labels-idx1-ubyte is no idx file of 1 dimensions"):
        mnist(files[0])
    (folder / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(NoMulError, match=r"no idx file of 3 dimensions .it begins with nothing"):
        mnist(files[0])
    (folder / "t10k-labels-idx1-ubyte").unlink()
    (folder / "train-images-idx3-ubyte").write_bytes(idx(files[1][:6]))
    with pytest.raises(NoMulError, match="t10k-labels-idx1-ubyte cannot be read"):
        mnist(files[0])
