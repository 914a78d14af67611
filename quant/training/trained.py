"""Files of trained networks: the name of the network and its weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from quant.errors import NoMulError
from quant.networks import NETWORKS, Preprocessing, Trainable, find_trainable
from quant.training.checkpoint import load_tensors, save_tensors
from quant.training.folding import fold_batch_norms

__all__ = ["Trained", "load_trained", "save_trained"]

SEVERAL = 2  # images: batch norm learns nothing from one


@dataclass(frozen=True)
class Trained:
    """A network with its weights, in evaluation mode.

    Parameters
    ----------
    name : str
        In :data:`quant.networks.NETWORKS`.
    model : module
    """

    name: str
    model: nn.Module

    @property
    def trainable(self) -> Trainable:
        """What is known of the network."""
        return NETWORKS[self.name]

    @property
    def preprocessing(self) -> Preprocessing:
        """What it expects of its images."""
        return self.trainable.preprocessing


def save_trained(path: str | Path, name: str, model: nn.Module) -> None:
    """Write the weights of a network of :data:`quant.networks.NETWORKS` in plain layers.

    Batch norms may have been folded. Tensors that float16 holds exactly, as it does powers of two,
    are written so.
    """
    folded = not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in model.modules())
    weights = {key: _narrow(value) for key, value in model.state_dict().items()}
    save_tensors(path, {"network": name, "folded": folded, "weights": weights})


def _narrow(tensor: torch.Tensor) -> torch.Tensor:
    """As float16 where nothing is lost."""
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def load_trained(path: str | Path) -> Trained:
    """Read what :func:`save_trained` wrote.

    Errors: :class:`NoMulError` for a missing or unreadable file, an unknown network, and weights
    that are not those of the network.
    """
    content = load_tensors(path, {"network", "folded", "weights"})
    trainable = find_trainable(content["network"])
    model = trainable.make().eval()
    if content["folded"]:
        model = fold_batch_norms(model, torch.zeros(SEVERAL, *trainable.input_shape))
    try:
        model.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise NoMulError(
            f"{path} does not hold the weights of a {content['network']}; train it again"
        ) from error
    return Trained(content["network"], model.eval())
