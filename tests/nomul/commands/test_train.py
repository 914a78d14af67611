"""``nomul train``: from images to a quantized network, resuming, what is refused."""

import json
import shlex

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from nomul.cli import main
from nomul.training import TrainingBar
from quant.networks import NETWORKS
from quant.quantized import QConv, QuantizedGraph
from quant.training.trained import load_trained, save_trained


@pytest.fixture
def data(tmp_path):
    """A data folder with MNIST as idx files: few images, of two classes that are easily told."""
    random = np.random.default_rng(0)
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    for part, count in (("train", 192), ("t10k", 64)):
        labels = random.integers(0, 2, count).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        images[labels == 1, 8:20] = 250
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
            path = tmp_path / "data" / "mnist" / f"{part}-{name}-ubyte"
            path.write_bytes(header + array.tobytes())
    return tmp_path / "data"


@pytest.fixture
def nomul(data, tmp_path):
    def run(text: str) -> Result:
        text = text.replace("train ", f"train --network lenet --batch 32 --data {data} ", 1)
        return CliRunner().invoke(main, shlex.split(text.replace("@", f"{tmp_path}/")))

    return run


def test_float_then_quantized_then_integers(nomul, data, tmp_path):
    floats = nomul("train --epochs 10 --learning-rate 0.05 --out @f.pt --json @f.json")
    assert floats.exit_code == 0, floats.output
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["test_accuracy"] > 90 and figures["recipe"]["seed"] == 0
    assert figures["command"] == (
        "nomul train --network lenet --out f.pt --epochs 10 --batch 32 --learning-rate 0.05"
    )
    log = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert log == figures["epochs"] and [line["epoch"] for line in log] == list(range(10))
    assert {"loss", "train_accuracy", "test_accuracy", "seconds", "learning_rate"} < set(log[0])
    assert "epoch 10: loss" in floats.stderr
    assert "f.pt" in floats.stdout and not (tmp_path / "f.checkpoint").exists()

    quantized = nomul("train --method nbq --bits 3 --from @f.pt --epochs 2 --out @q.pt")
    assert quantized.exit_code == 0, quantized.output
    command = f"quantize @q.pt --scheme nbq3 --images mnist --count 32 --data {data} -o @q.qgraph"
    made = nomul(command)
    assert made.exit_code == 0, made.output
    weights = [p for p in load_trained(tmp_path / "q.pt").model.parameters() if p.ndim > 1]
    layers = [x for x in QuantizedGraph.load(tmp_path / "q.qgraph").layers if isinstance(x, QConv)]
    for layer, weight in zip(layers, weights, strict=True):
        codes = layer.weight.reshape(len(layer.weight), -1)
        value = np.ldexp(codes.astype(np.float32), -layer.weight_fraction[:, None])
        assert np.array_equal(value, weight.detach().flatten(1).numpy())
        assert set(np.abs(codes).flat) <= {0, 1, 2, 4}

    done = nomul("compile @q.qgraph --arch zynq7020 -o @q.program --json @compiled.json")
    assert done.exit_code == 0, done.output
    compiled = json.loads((tmp_path / "compiled.json").read_text())
    assert {layer["passes"] for layer in compiled["layers"]} <= {1, None}


def test_codebooks_on_their_way_to_integers(nomul, data, tmp_path):
    floats = nomul("train --epochs 10 --learning-rate 0.05 --out @f.pt")
    assert floats.exit_code == 0, floats.output
    command = "train --method clipq --bits 2 --option activations=q5 --from @f.pt --epochs 3"
    trained = nomul(f"{command} --precision bfloat16 --out @q.pt --json @q.json")
    assert trained.exit_code == 0, trained.output
    assert "Codebooks: 15,6" in trained.stdout
    figures = json.loads((tmp_path / "q.json").read_text())
    total = figures["codebooks"]["total"]
    assert figures["test_accuracy"] > 80
    assert figures["recipe"]["precision"] == "bfloat16"
    assert "--precision bfloat16" in figures["command"]
    assert total["weights"] == 61_470 and total["zeros"] >= 0.2 * total["weights"]
    assert total["compression"] > 15 and total["file_bytes"] < total["bytes"] + 10_000
    assert total["file_bytes"] == (tmp_path / "q.pt").stat().st_size
    command = f"quantize @q.pt --scheme clipq2q5 --images mnist --count 32 --data {data}"
    made = nomul(f"{command} -o @q.qgraph")
    assert made.exit_code == 0, made.output
    layers = [x for x in QuantizedGraph.load(tmp_path / "q.qgraph").layers if isinstance(x, QConv)]
    books = [layer["codebook"] for layer in figures["codebooks"]["layers"].values()]
    for layer, book in zip(layers, books, strict=True):
        assert set(np.unique(layer.weight)) <= set(book) and len(book) <= 4
        assert (layer.format.signed, layer.format.fraction) == (True, 5)
    refused = nomul(command.replace("clipq2q5", "clipq1") + " -o @r.qgraph")
    assert refused.exit_code == 1 and "of no codebook of 1 values of 8 bits" in " ".join(
        refused.stderr.split()
    )


def test_a_teacher_of_another_network(nomul, tmp_path):
    teacher = NETWORKS["lenet16"].make()
    last = [module for module in teacher.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(8 * (torch.arange(10) == 7))
    save_trained(tmp_path / "sevens.pt", "lenet16", teacher)
    imitated = nomul(
        "train --epochs 3 --teacher @sevens.pt --distillation 1 --out @t.pt --json @t.json"
    )
    assert imitated.exit_code == 0, imitated.output
    assert json.loads((tmp_path / "t.json").read_text())["test_accuracy"] == 0
    images = torch.rand(4, 1, 28, 28)
    assert load_trained(tmp_path / "t.pt").model(images).argmax(1).tolist() == [7] * 4


def test_resumes_to_the_same_weights(nomul, tmp_path, monkeypatch):
    common = "train --epochs 3 --learning-rate 0.05 --threads 1"
    assert nomul(f"{common} --out @a.pt").exit_code == 0

    step = TrainingBar.step

    def stop(self, status):
        if (status.epoch, status.step) == (1, 2):
            raise KeyboardInterrupt
        step(self, status)

    monkeypatch.setattr(TrainingBar, "step", stop)
    assert nomul(f"{common} --out @b.pt").exit_code == 130
    assert (tmp_path / "b.checkpoint").exists() and not (tmp_path / "b.pt").exists()
    monkeypatch.undo()
    assert nomul(f"{common} --out @b.pt --resume").exit_code == 0
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--network vgg --epochs 1", "no network 'vgg' can be trained; choose one of resnet20"),
        ("--epochs 0", "epochs is 0; give 1 or more"),
        ("--epochs 1 --method none", "no training method 'none'; choose one of: clipq, float"),
        ("--epochs 1 --bits 3", "the method has no option bits; it has: none"),
        ("--epochs 1 --method clipq --bits 6", "an index of 6 bits is no codebook's; give 1 to 5"),
        ("--epochs 1 --method nbq --option shares=1", "the method has no option shares; it has"),
        ("--epochs 1 --from @none.pt", "none.pt does not exist"),
        ("--epochs 1 --from @resnet8.pt", "holds a resnet8, not a lenet; give weights of the same"),
        ("--epochs 1 --teacher @resnet8.pt", "resnet8.pt prepares its images in another way than"),
        ("--epochs 1 --images cifar100", "no data set 'cifar100'; choose one of cifar10"),
        ("--epochs 1 --count 500", "500 images were asked for; there are 192"),
        ("--epochs 1 --distillation 0.5", "distillation needs a teacher"),
        ("--epochs 1 --resume", "new.checkpoint does not exist"),
        ("--epochs 1 --images cifar10", "must hold data_batch_1 to data_batch_5 and test_batch"),
    ],
)
def test_what_is_refused(nomul, tmp_path, arguments, message):
    save_trained(tmp_path / "resnet8.pt", "resnet8", NETWORKS["resnet8"].make())
    result = nomul(f"train --out @new.pt {arguments}")
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())


def test_options_are_name_and_value(nomul):
    result = nomul("train --out @new.pt --epochs 1 --option share")
    assert result.exit_code == 2 and "write NAME=VALUE" in result.stderr
