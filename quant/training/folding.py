"""Batch norms taken into the layers before them, in any network."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from quant.errors import NoMulError

__all__ = ["fold_batch_norms", "norms_by_layer"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
TOLERANCE = 1e-4  # of float32, relative to the largest output


def norms_by_layer(model: nn.Module, example: torch.Tensor) -> dict[str, str]:
    """Names of the layers whose output a batch norm reads, each with that batch norm's.

    Found by running the network, so it need not be traceable. Layers are convolutions and linear
    layers.
    """
    made: dict[int, tuple[str, torch.Tensor]] = {}
    found: dict[str, str] = {}

    def visit(name: str, module: nn.Module):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            if isinstance(module, NORMS) and id(inputs[0]) in made:
                found[made[id(inputs[0])][0]] = name
            elif isinstance(module, nn.Conv2d | nn.Linear):
                made[id(output)] = (name, output)

        return module.register_forward_hook(hook)

    hooks = [visit(name, module) for name, module in model.named_modules()]
    try:
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def fold_batch_norms(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy in evaluation mode whose batch norms are identities, taken into weights and biases.

    Errors: :class:`NoMulError` where a batch norm follows no convolution or linear layer, or one
    whose output is also used otherwise: the copy then computes something else.
    """
    folded = copy.deepcopy(model).eval()
    for layer_name, norm_name in norms_by_layer(folded, example).items():
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        assert isinstance(norm, NORMS)
        fused: nn.Module
        if isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            assert isinstance(layer, nn.Conv2d)
            fused = fuse_conv_bn_eval(layer, norm)
        for parameter in fused.parameters():
            parameter.requires_grad_()  # fusing leaves new biases constant
        folded.set_submodule(layer_name, fused)
        folded.set_submodule(norm_name, nn.Identity())
    left = [name for name, module in folded.named_modules() if isinstance(module, NORMS)]
    if left:
        raise NoMulError(
            f"batch norm {left[0]} follows no convolution or linear layer, so it cannot be folded; "
            "place it directly behind one"
        )
    with torch.no_grad():
        expected, found = model.eval()(example), folded(example)
    if (found - expected).abs().max() > TOLERANCE * expected.abs().max():
        raise NoMulError(
            "folding batch norm changes the network, because the output of a layer before a batch "
            "norm is used elsewhere too; give that layer no batch norm"
        )
    return folded
