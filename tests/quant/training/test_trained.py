"""Files of trained networks: the same network comes back; what is refused."""

import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.networks import NETWORKS
from quant.training.checkpoint import save_tensors
from quant.training.folding import fold_batch_norms
from quant.training.methods.clipq import ClipQ, ClipQOptions
from quant.training.trained import codebooks, load_trained, save_trained


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", ["resnet8", "lenet"])
def test_what_is_saved_comes_back(name, folded, tmp_path):
    trainable = NETWORKS[name]
    x = torch.randn(3, *trainable.input_shape)
    model = trainable.make().eval()
    if folded:
        model = fold_batch_norms(model, x)
    save_trained(tmp_path / "n.pt", name, model)
    found = load_trained(tmp_path / "n.pt")
    assert found.name == name and found.preprocessing == trainable.preprocessing
    assert not found.model.training
    with torch.no_grad():
        assert torch.equal(found.model(x), model(x))


def test_codebooks_are_stored_as_packed_indices(tmp_path):
    torch.manual_seed(0)
    model = NETWORKS["lenet"].make().eval()
    assert codebooks(model) is None
    save_trained(tmp_path / "float.pt", "lenet", model)
    method = ClipQ(ClipQOptions(bits=2))
    plain = method.finish(method.wrap(model, torch.empty(2, 1, 28, 28)))
    save_trained(tmp_path / "coded.pt", "lenet", plain)
    found = load_trained(tmp_path / "coded.pt").model.state_dict()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(found[name], tensor)
    assert set(codebooks(plain) or {}) == {
        f"{x}.weight" for x in dict(model.named_children()) if x != "pool"
    }
    before, after = ((tmp_path / f"{x}.pt").stat().st_size for x in ("float", "coded"))
    assert after < before / 8


def test_what_is_refused(tmp_path):
    path = tmp_path / "n.pt"
    with pytest.raises(NoMulError, match=r"n.pt does not exist"):
        load_trained(path)
    path.write_bytes(b"no weights")
    with pytest.raises(NoMulError, match=r"n.pt holds no weights or checkpoint"):
        load_trained(path)
    torch.save(nn.Linear(1, 1).state_dict(), path)
    with pytest.raises(NoMulError, match="was not written by nomul train: it has no folded, net"):
        load_trained(path)
    save_tensors(path, {"network": "vgg", "folded": False, "weights": {}})
    with pytest.raises(NoMulError, match="no network 'vgg' can be trained; choose one of resnet20"):
        load_trained(path)
    save_tensors(path, {"network": "lenet", "folded": False, "weights": {}})
    with pytest.raises(NoMulError, match="does not hold the weights of a lenet; train it again"):
        load_trained(path)
