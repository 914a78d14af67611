import numpy as np
import pytest
from torch import nn

from nomul.sources import file_kind, find_network
from quant.errors import NoMulError
from quant.graph import save_container

SHAPE = (1, 8, 8)
CODE = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())

ready = network()
other = 3

def broken():
    raise RuntimeError("no weights")

def ends():
    raise SystemExit("no weights")
"""


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "numbers.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("attribute", ["network", "ready"])
def test_python_code(code, attribute):
    network = find_network(f"{code}:{attribute}", SHAPE, None)
    assert isinstance(network.model, nn.Sequential) and not network.model.training
    assert network.input_shape == SHAPE


def test_a_module_in_the_working_folder(code, monkeypatch):
    code.rename(code.with_name("my_networks.py"))
    monkeypatch.chdir(code.parent)
    assert isinstance(find_network("my_networks:ready", SHAPE, None).model, nn.Sequential)


@pytest.mark.parametrize(
    ("source", "shape", "message"),
    [
        ("{code}:network", None, "--input-shape"),
        ("{code}:missing", SHAPE, "defines no missing"),
        ("{code}:other", SHAPE, "is of type int; it must make a torch.nn.Module"),
        ("{code}:broken", SHAPE, "failed .RuntimeError: no weights"),
        ("{code}:ends", SHAPE, "failed .SystemExit: no weights"),
        ("{code}:", SHAPE, "is no network"),
        ("resnet20", SHAPE, "leave out --input-shape"),
        ("{code}2.py:network", SHAPE, "does not exist"),
        ("no.such.package:network", SHAPE, "cannot be imported"),
        ("photo.png", SHAPE, "photo.png is no network; give an .onnx file"),
    ],
)
def test_sources_that_are_no_network(code, source, shape, message):
    with pytest.raises(NoMulError, match=message):
        find_network(source.format(code=code), shape, None)


@pytest.mark.parametrize("line", ["open('weights.bin')", "raise SystemExit('bye')"])
def test_code_that_cannot_be_imported(tmp_path, line):
    path = tmp_path / "broken.py"
    path.write_text(line)
    with pytest.raises(NoMulError, match=r"broken.py cannot be imported .*(weights.bin|bye)"):
        find_network(f"{path}:network", SHAPE, None)


def test_pretrained_networks_need_a_folder(monkeypatch):
    monkeypatch.delenv("NOMUL_MODELS", raising=False)
    with pytest.raises(NoMulError, match="NOMUL_MODELS"):
        find_network("resnet20", None, None)


def test_kind_of_a_file(tmp_path, code):
    path = tmp_path / "a.program"
    save_container(path, "program", {}, {"a": np.zeros(2)})
    assert file_kind(str(path)) == "program"
    assert file_kind(str(code)) is None
    assert file_kind("missing") is None
