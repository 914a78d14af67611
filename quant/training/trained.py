"""Files of trained networks: the name of the network and its weights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from quant.codebooks import CodedWeight, find_codebook, pack, unpack
from quant.errors import NoMulError
from quant.networks import NETWORKS, Preprocessing, Trainable, find_trainable
from quant.training.checkpoint import load_tensors, save_tensors
from quant.training.folding import fold_batch_norms

__all__ = ["Trained", "codebooks", "load_trained", "save_trained"]

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

    Batch norms may have been folded. Weights that a codebook of at most 31 values beside 0 holds
    exactly are written as it and packed indices, other tensors that float16 holds exactly as that.
    """
    folded = not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in model.modules())
    weights = {key: _narrow(value) for key, value in model.state_dict().items()}
    save_tensors(path, {"network": name, "folded": folded, "weights": weights})


def codebooks(model: nn.Module) -> dict[str, CodedWeight] | None:
    """The codebook of each weight by its name; None where a weight has none."""
    found = {}
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            coded = find_codebook(tensor.numpy())
            if coded is None:
                return None
            found[name] = coded
    return found


def _narrow(tensor: torch.Tensor) -> torch.Tensor | dict[str, Any]:
    """As packed indices or as float16 where nothing is lost."""
    if tensor.dtype != torch.float32:
        return tensor
    coded = find_codebook(tensor.numpy()) if tensor.ndim > 1 else None
    if coded is not None:
        return {
            "indices": torch.from_numpy(pack(coded.indices, coded.bits)),
            "codebook": torch.from_numpy(coded.codebook.astype(np.int8)),
            "fraction": torch.from_numpy(coded.fraction.astype(np.int16)),
            "shape": list(tensor.shape),
        }
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _widen(stored: torch.Tensor | dict[str, Any]) -> torch.Tensor:
    """Inverse of :func:`_narrow`, but that float16 stays."""
    if isinstance(stored, torch.Tensor):
        return stored
    codebook = stored["codebook"].numpy().astype(np.int32)
    shape = stored["shape"]
    coded = CodedWeight(codebook, np.zeros(shape, np.uint8), stored["fraction"].numpy())
    indices = unpack(stored["indices"].numpy(), coded.bits, int(np.prod(shape)))
    return torch.from_numpy(replace(coded, indices=indices.reshape(shape)).values)


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
        model.load_state_dict({key: _widen(value) for key, value in content["weights"].items()})
    except (RuntimeError, KeyError, ValueError) as error:
        raise NoMulError(
            f"{path} does not hold the weights of a {content['network']}; train it again"
        ) from error
    return Trained(content["network"], model.eval())
