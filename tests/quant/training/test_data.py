"""Batches: each image once, augmented by the seed; preprocessed as the network expects."""

import numpy as np
import pytest
import torch

from quant.errors import NoMulError
from quant.networks import Preprocessing
from quant.training.data import SHIFT, TrainingData, augment

RAW = Preprocessing(1.0, (0.0,), (1.0,))


def data(train: int = 20, test: int = 6, mirror: bool = True) -> TrainingData:
    images = np.arange(1, train + test + 1, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (train + test, 12, 12, 1)).copy()
    labels = np.arange(train + test, dtype=np.int64) + 1
    return TrainingData(images[:train], labels[:train], images[train:], labels[train:], RAW, mirror)


def test_every_image_comes_once_with_its_label():
    batches = list(data().batches(6, seed=0, epoch=0))
    assert [len(y) for _, y in batches] == [6, 6, 6] and data().steps(6) == 3
    labels = torch.cat([y for _, y in batches])
    assert len(labels.unique()) == 18 and set(labels.tolist()) <= set(range(1, 21))
    for x, y in batches:
        assert x.shape == (6, 1, 12, 12) and x.dtype == torch.float32
        assert torch.equal(x.amax((1, 2, 3)), y.float())


def test_seed_and_epoch_fix_all():
    def pixels(seed: int, epoch: int) -> torch.Tensor:
        return torch.cat([x for x, _ in data().batches(5, seed, epoch)])

    assert torch.equal(pixels(1, 2), pixels(1, 2))
    assert not torch.equal(pixels(1, 2), pixels(1, 3))
    assert not torch.equal(pixels(1, 2), pixels(2, 2))


def test_test_images_come_in_order_and_as_they_are():
    x, y = next(data().test_batches())
    assert y.tolist() == list(range(21, 27))
    assert (x == y[:, None, None, None]).all()


@pytest.mark.parametrize("mirror", [True, False])
def test_augmentation_shifts_and_mirrors(mirror):
    image = np.random.default_rng(0).integers(1, 256, (1, 10, 12, 3)).astype(np.uint8)
    found = augment(np.repeat(image, 400, axis=0), np.random.default_rng(1), mirror)
    padded = np.pad(image[0], ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    windows = {
        padded[r : r + 10, c : c + 12][:, ::step].tobytes(): (r, c, step)
        for r in range(2 * SHIFT + 1)
        for c in range(2 * SHIFT + 1)
        for step in ((1, -1) if mirror else (1,))
    }
    seen = {windows[picture.tobytes()] for picture in found}
    assert {r for r, _, _ in seen} == {c for _, c, _ in seen} == set(range(2 * SHIFT + 1))
    assert {step for _, _, step in seen} == ({1, -1} if mirror else {1})


def test_a_part_is_mixed_and_always_the_same():
    part = data().part(7, 3)
    assert len(part.train_labels) == 7 and len(part.test_labels) == 3
    assert part.train_labels.tolist() == data().part(7, 3).train_labels.tolist()
    assert part.train_labels.tolist() != list(range(1, 8))
    assert len(data().part(None, None).train_labels) == 20


def test_what_is_refused():
    with pytest.raises(NoMulError, match="21 images were asked for; there are 20"):
        data().part(21, None)
    with pytest.raises(NoMulError, match="a batch of 21 needs more than the 20 training images"):
        data().steps(21)
