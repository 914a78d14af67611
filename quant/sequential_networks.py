"""Networks without branches: network in network for CIFAR-10, LeNet-5 and its like for MNIST."""

from collections import OrderedDict

import torch
from torch import nn

__all__ = ["LeNet", "LeNet16", "NetworkInNetwork"]


class NetworkInNetwork(nn.Module):
    """Nine convolutions for 32 x 32 images, six of them 1x1; 10 logits.

    Lin et al. 2014, with the widths of Cheng, Lin and Shih, IEEE TCSI 69(10), 2022: a max pool
    after the third and the sixth convolution, the mean over all positions at the end. Batch norm,
    then ReLU, follow each convolution but the last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(unit(3, 96, 3), unit(96, 160, 1), unit(160, 192, 1))
        self.pool1 = nn.MaxPool2d(2)
        self.block2 = nn.Sequential(unit(192, 96, 3), unit(96, 192, 1), unit(192, 192, 1))
        self.pool2 = nn.MaxPool2d(2)
        self.block3 = nn.Sequential(unit(192, 384, 3), unit(384, 192, 1))
        self.classifier = nn.Conv2d(192, 10, 1)
        self.average = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool2(self.block2(self.pool1(self.block1(x))))
        return self.average(self.classifier(self.block3(x))).flatten(1)


def unit(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution of unchanged size with batch norm and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(),
        )
    )


class LeNet(nn.Module):
    """LeNet-5 for 28 x 28 images (LeCun et al. 1998), with ReLU and max pooling; 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x).relu())
        x = self.pool(self.conv2(x).relu()).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class LeNet16(nn.Module):
    """LeNet-like, for 28 x 28 images: LeNet-5 with channels in multiples of 16; 10 logits.

    16 and 32 channels of 5x5 convolutions, each followed by ReLU and max pooling, then 128 and 10
    outputs of linear layers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(800, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x).relu())
        x = self.pool(self.conv2(x).relu()).flatten(1)
        return self.fc2(self.fc1(x).relu())
