"""The loop: learning, repeating and resuming to the same bits, what is refused."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.networks import Preprocessing
from quant.training.checkpoint import load_tensors
from quant.training.data import TrainingData
from quant.training.loop import accuracy, train
from quant.training.methods import find_method
from quant.training.recipe import Recipe

RAW = Preprocessing(1 / 255, (0.5,), (0.25,))


def bars(count: int = 256) -> TrainingData:
    """8 x 8 images with a bright bar, upright or lying."""
    random = np.random.default_rng(0)
    images = random.integers(0, 100, (count + 64, 8, 8, 1)).astype(np.uint8)
    labels = random.integers(0, 2, count + 64)
    for image, label in zip(images, labels, strict=True):
        if label:
            image[:, 4] = 255
        else:
            image[4] = 255
    return TrainingData(
        images[:count], labels[:count], images[count:], labels[count:], RAW, mirror=True
    )


def network(name: str = "float") -> nn.Module:
    """New, or for quantized training a trained one."""
    return new() if name == "float" else copy.deepcopy(pretrained())


@cache
def pretrained() -> nn.Module:
    return train(new(), bars(), method("float"), RECIPE)


def new() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(8),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def method(name: str):
    cls = find_method(name)
    return cls(cls.options_type())


RECIPE = Recipe(epochs=4, batch=32, learning_rate=0.1)


def run(name: str, folder: Path, resume: bool = False, until: int | None = None) -> nn.Module:
    """Train; with ``until`` be stopped in the middle of that epoch."""

    def stop(status) -> None:
        if status.epoch == until and status.step == 3:
            raise KeyboardInterrupt

    return train(
        network(name),
        bars(),
        method(name),
        RECIPE,
        checkpoint=folder / "checkpoint",
        resume=resume,
        progress=stop,
    )


def same(a: nn.Module, b: nn.Module) -> bool:
    state = b.state_dict()
    return a.state_dict().keys() == state.keys() and all(
        torch.equal(value, state[key]) for key, value in a.state_dict().items()
    )


@pytest.mark.parametrize("name", ["float", "nbq"])
def test_learns_and_repeats_bit_by_bit(name, tmp_path):
    log = []
    first = train(network(name), bars(), method(name), RECIPE, log=lambda e: log.append(list(e)))
    assert accuracy(first, bars()) > 90
    assert [len(epochs) for epochs in log] == [1, 2, 3, 4]
    if name == "float":
        assert log[-1][-1].loss < log[-1][0].loss
    assert same(first, run(name, tmp_path))


@pytest.mark.parametrize("name", ["float", "nbq"])
@pytest.mark.parametrize("until", [1, 3])
def test_resumes_to_the_same_bits(name, until, tmp_path):
    whole = run(name, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(name, tmp_path, until=until)
    assert same(run(name, tmp_path, resume=True), whole)


@pytest.mark.parametrize("name", ["float", "nbq", "clipq"])
def test_bfloat16_learns_and_repeats(name):
    recipe = replace(RECIPE, precision="bfloat16")
    first = train(network(name), bars(), method(name), recipe)
    assert accuracy(first, bars()) > 90
    assert all(value.dtype == torch.float32 for value in first.parameters())
    assert same(first, train(network(name), bars(), method(name), recipe))
    assert not same(first, train(network(name), bars(), method(name), RECIPE))


def test_bfloat16_is_for_training_and_its_teacher_not_for_tests():
    dtypes = {}

    def record(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        if isinstance(module, nn.Linear):
            dtypes.setdefault((module is teacher[-1], module.training), set()).add(output.dtype)

    teacher = copy.deepcopy(pretrained())
    recipe = replace(RECIPE, precision="bfloat16", distillation=0.5)
    hook = nn.modules.module.register_module_forward_hook(record)
    try:
        train(network(), bars(), method("float"), recipe, teacher=teacher)
    finally:
        hook.remove()
    assert dtypes == {
        (False, True): {torch.bfloat16},
        (False, False): {torch.float32},
        (True, False): {torch.bfloat16},
    }


PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from test_loop import run
import test_loop
train = test_loop.train
def slow(*arguments, **keywords):
    keywords["progress"] = lambda status: time.sleep(0.05 if status.epoch else 0)
    return train(*arguments, **keywords)
test_loop.train = slow
run("nbq", Path(sys.argv[1]))
"""


def test_resumes_after_a_kill(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = run("nbq", tmp_path)
        checkpoint = tmp_path / "killed" / "checkpoint"
        checkpoint.parent.mkdir()
        here = str(Path(__file__).parent)
        path = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(checkpoint.parent), here],
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            end = time.monotonic() + 60
            while not checkpoint.exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        assert len(load_tensors(checkpoint, {"epochs"})["epochs"]) in (1, 2)
        assert same(run("nbq", checkpoint.parent, resume=True), whole)
    finally:
        torch.set_num_threads(threads)


def test_test_accuracy_is_measured_every_so_often_and_at_the_end():
    log = []
    recipe = Recipe(epochs=5, batch=64)
    train(network(), bars(), method("float"), recipe, test_every=2, log=lambda e: log.append(e[-1]))
    assert [epoch.test_accuracy is not None for epoch in log] == [False, True, False, True, True]
    json.dumps([vars(epoch) for epoch in log])


def test_distillation_imitates_the_teacher():
    teacher, data = pretrained(), bars()
    wrong = TrainingData(
        data.train_images, 1 - data.train_labels, data.test_images, data.test_labels, RAW, True
    )
    recipe = Recipe(epochs=8, batch=32, learning_rate=0.3, distillation=1.0)
    assert accuracy(train(network(), wrong, method("float"), recipe, teacher=teacher), data) > 90
    with pytest.raises(NoMulError, match="distillation needs a teacher"):
        train(network(), data, method("float"), recipe)


def test_a_diverging_training_is_stopped():
    images = bars()
    with torch.no_grad():
        broken = network()
        broken[-1].weight.fill_(float("nan"))
    with pytest.raises(NoMulError, match="the loss is nan in epoch 0, step 0; take a smaller"):
        train(broken, images, method("float"), RECIPE)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    run("float", tmp_path)
    path = tmp_path / "checkpoint"
    for name, value in (("learning_rate", 0.2), ("precision", "bfloat16")):
        other = replace(RECIPE, **{name: value})
        with pytest.raises(NoMulError, match=f"of a training with another {name};"):
            train(network(), bars(), method("float"), other, checkpoint=path, resume=True)
    with pytest.raises(NoMulError, match="is of another network"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        train(model, bars(), method("float"), RECIPE, checkpoint=path, resume=True)
    with pytest.raises(NoMulError, match="does not exist"):
        missing = tmp_path / "nothing"
        train(network(), bars(), method("float"), RECIPE, checkpoint=missing, resume=True)
