"""Training without quantization: the network to compare with, and the one to start from."""

import torch
from torch import nn

from quant.training.methods import Method

__all__ = ["Float"]


class Float(Method):
    """Weights stay float32."""

    name = "float"

    def wrap(self, model: nn.Module, example: torch.Tensor) -> nn.Module:
        return model

    def finish(self, model: nn.Module) -> nn.Module:
        return model
