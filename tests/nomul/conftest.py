"""One small network, quantized and compiled once, for all tests of the command line."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nomul.cli import main

NETWORK = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8 * 9, 10)

    def forward(self, x):
        x = self.stem(x).relu()
        x = (self.block(x) + x).relu()
        return self.head(self.pool(x).flatten(1))
"""


@dataclass(frozen=True)
class Files:
    """Paths of what the tests share."""

    folder: Path
    network: str
    images: str
    qgraph: str
    program: str


def nomul(*arguments: object) -> Result:
    """Run a verb in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    """A network, images with labels, the quantized graph and the program for ``tiny``."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.py").write_text(NETWORK)
    random = np.random.default_rng(0)
    images = random.normal(size=(12, 3, 6, 6)).astype(np.float32)
    np.savez(folder / "images.npz", x=images, y=random.integers(0, 10, 12))
    paths = Files(
        folder,
        f"{folder / 'small.py'}:Small",
        str(folder / "images.npz"),
        str(folder / "small.qgraph"),
        str(folder / "small.program"),
    )
    shape = ("--input-shape", "3,6,6")
    made = nomul("quantize", paths.network, *shape, "--images", paths.images, "-o", paths.qgraph)
    assert made.exit_code == 0, made.stderr
    made = nomul("compile", paths.qgraph, "--arch", "tiny", "-o", paths.program)
    assert made.exit_code == 0, made.stderr
    return paths
