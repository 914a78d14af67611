"""Files of tensors: whole or not at all, and nothing but tensors and plain values."""

import pickle

import pytest
import torch

from quant.errors import NoMulError
from quant.training.checkpoint import load_tensors, save_tensors

CONTENT = {"weights": {"w": torch.arange(6.0).reshape(2, 3)}, "epochs": [{"loss": 0.5}]}


def test_what_is_saved_comes_back(tmp_path):
    save_tensors(tmp_path / "c", CONTENT)
    found = load_tensors(tmp_path / "c", {"weights", "epochs"})
    assert torch.equal(found["weights"]["w"], CONTENT["weights"]["w"])
    assert found["epochs"] == CONTENT["epochs"]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_the_old_file_stays_where_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    save_tensors(tmp_path / "c", CONTENT)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(NoMulError, match=r"cannot be written .No space left"):
        save_tensors(tmp_path / "c", {"weights": {}})
    monkeypatch.undo()
    assert load_tensors(tmp_path / "c", {"epochs"})["epochs"] == CONTENT["epochs"]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_code_in_a_file_does_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return print, ("code has run",)

    torch.save({"weights": Attack()}, tmp_path / "c")
    with pytest.raises(NoMulError, match="holds no weights or checkpoint"):
        load_tensors(tmp_path / "c", {"weights"})
    (tmp_path / "c").write_bytes(pickle.dumps(3, protocol=2))
    with pytest.raises(NoMulError, match="holds no weights or checkpoint"):
        load_tensors(tmp_path / "c", {"weights"})


def test_missing_fields_are_named(tmp_path):
    save_tensors(tmp_path / "c", CONTENT)
    with pytest.raises(NoMulError, match="was not written by nomul train: it has no model, rand"):
        load_tensors(tmp_path / "c", {"model", "random", "epochs"})
