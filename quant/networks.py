"""Networks by name: those that can be trained, and the pretrained CIFAR-10 networks.

Parameters of the pretrained ones are plain state dicts in a folder given as an argument or in the
environment variable ``NOMUL_MODELS``.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from quant.errors import NoMulError, first_line
from quant.sequential_networks import LeNet, LeNet16, NetworkInNetwork

__all__ = [
    "NETWORKS",
    "PRETRAINED",
    "Preprocessing",
    "ResNet8",
    "ResNet20",
    "Trainable",
    "find_trainable",
    "pretrained",
]


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its images: ``(pixel * scale - mean) / std`` per channel."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 (images, rows, columns, channels) to float32 (images, channels, rows, columns).

        Errors: :class:`NoMulError` for another type or shape.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != len(self.mean):
            raise NoMulError(
                f"a batch of images is {images.dtype} {images.shape}; give uint8 with the shape "
                f"(images, rows, columns, {len(self.mean)})"
            )
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised = (images.astype(np.float32) * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


IMAGENET = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RAW_PIXELS = Preprocessing(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
GREY = Preprocessing(1 / 255, (0.0,), (1.0,))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without weights (He et al., option A).

    Where the shape changes, the shortcut takes every ``stride``-th row and column and adds zero
    channels, half before and half after.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.relu2 = nn.ReLU()
        self.shortcut = ZeroShortcut(stride, (outputs - inputs) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


class ZeroShortcut(nn.Module):
    """Every ``stride``-th position, with ``channels`` zero channels on both sides."""

    def __init__(self, stride: int, channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1 and not self.channels:
            return x
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.channels, self.channels))


class ResNet20(nn.Module):
    """ResNet-20 for CIFAR-10 (He et al. 2016): three stages of three blocks, 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self._stage(16, 16, 1)
        self.layer2 = self._stage(16, 32, 2)
        self.layer3 = self._stage(32, 64, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            ResidualBlock(inputs, outputs, stride),
            ResidualBlock(outputs, outputs, 1),
            ResidualBlock(outputs, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.pool(x).flatten(1))


Norm = Callable[[int], nn.Module]


class ResNet8Stage(nn.Module):
    """One residual stage; with stride 2 it pads at the bottom and right only, as TensorFlow."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.ZeroPad2d(1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride)
        self.norm1 = norm(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm2 = norm(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride) if stride == 2 else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(self.pad(x))))))
        return self.relu2(self.skip(x) + y)


class ResNet8(nn.Module):
    """ResNet-8 of MLPerf Tiny for CIFAR-10; 10 logits, without the softmax.

    Parameters
    ----------
    norm : function of a number of channels to a module
        What follows each 3x3 convolution: by default nothing, as in the published file, into whose
        weights batch norm is folded; ``torch.nn.BatchNorm2d`` for training.
    """

    def __init__(self, norm: Norm = nn.Identity) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1)
        self.norm = norm(16)
        self.relu = nn.ReLU()
        self.stage1 = ResNet8Stage(16, 16, 1, norm)
        self.stage2 = ResNet8Stage(16, 32, 2, norm)
        self.stage3 = ResNet8Stage(32, 64, 2, norm)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.stem(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.pool(x).flatten(1))


@dataclass(frozen=True)
class Trainable:
    """A network that can be trained: what makes it, and what its images are.

    Parameters
    ----------
    make : function
        The network with new weights.
    input_shape : (channels, rows, columns)
    preprocessing : Preprocessing
    """

    make: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing


NETWORKS: dict[str, Trainable] = {
    "resnet20": Trainable(ResNet20, (3, 32, 32), IMAGENET),
    "resnet8": Trainable(partial(ResNet8, nn.BatchNorm2d), (3, 32, 32), IMAGENET),
    "nin": Trainable(NetworkInNetwork, (3, 32, 32), IMAGENET),
    "lenet": Trainable(LeNet, (1, 28, 28), GREY),
    "lenet16": Trainable(LeNet16, (1, 28, 28), GREY),
}


def find_trainable(name: str) -> Trainable:
    """The network of a name. Errors: :class:`NoMulError` that lists the known names."""
    if name not in NETWORKS:
        raise NoMulError(f"no network {name!r} can be trained; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


@dataclass(frozen=True)
class Entry:
    """A pretrained network: its module, its file and its preprocessing."""

    module: Callable[[], nn.Module]
    file: str
    preprocessing: Preprocessing


PRETRAINED: dict[str, Entry] = {
    "resnet20": Entry(ResNet20, "resnet20_cifar10_jpeg.pt", IMAGENET),
    "resnet20-original": Entry(ResNet20, "resnet20_cifar10.pt", IMAGENET),
    "resnet8": Entry(ResNet8, "resnet8_mlperf_tiny.pt", RAW_PIXELS),
}


def pretrained(name: str, folder: str | Path | None = None) -> tuple[nn.Module, Preprocessing]:
    """A trained network in evaluation mode, and the preprocessing of its images.

    Parameters
    ----------
    name : str
        ``resnet20`` (tuned on the JPEG images), ``resnet20-original`` (trained on the lossless
        ones) or ``resnet8``.
    folder : path, optional
        Where the ``.pt`` files lie; ``NOMUL_MODELS`` where it is not given.

    Errors: :class:`NoMulError` for an unknown name and for a missing or unfitting file.
    """
    if name not in PRETRAINED:
        raise NoMulError(f"no pretrained network is named {name}; take one of {[*PRETRAINED]}")
    entry = PRETRAINED[name]
    root = folder if folder is not None else os.environ.get("NOMUL_MODELS")
    if root is None:
        raise NoMulError(
            f"no model folder is given; set NOMUL_MODELS to the folder that holds {entry.file}"
        )
    path = Path(root) / entry.file
    module = entry.module()
    try:
        module.load_state_dict(torch.load(path, weights_only=True))
    except FileNotFoundError:
        files = sorted({other.file for other in PRETRAINED.values()})
        raise NoMulError(
            f"{path} does not exist; the model folder must hold {', '.join(files)}, "
            "set NOMUL_MODELS to it"
        ) from None
    except Exception as error:
        # Bytes that are no state dict make the unpickler fail in any way.
        raise NoMulError(
            f"{path} does not hold a {name} ({first_line(error)}); get the file again"
        ) from error
    return module.eval(), entry.preprocessing
