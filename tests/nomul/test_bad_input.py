"""Every bad input ends in one clear line and status 1, and nothing is half-written."""

import errno

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtl.cache import Cache
from tests.nomul.conftest import nomul

SHAPE = ("--input-shape", "3,6,6")


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Checks that a verb ends in one line that holds the words, and writes nothing."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments, words):
        before = sorted(tmp_path.rglob("*"))
        result = nomul(*arguments, "--json", "figures.json")
        assert result.exit_code == 1, result.output
        line = result.stderr.splitlines()[-1]
        assert line.startswith("nomul: ") and "Traceback" not in result.output
        for word in words:
            assert word in line, line
        assert sorted(tmp_path.rglob("*")) == before

    return check


def save_onnx(path, operator="Relu", weight=0.5):
    """A network of one convolution and one other operator."""
    kernel = np.full((4, 3, 3, 3), weight, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["sums"], "conv"),
            helper.make_node(operator, ["sums"], ["y"], "last"),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, 4])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, ir_version=10), path)


def test_wrong_file_type(refused, tmp_path, files):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    refused("quantize", "photo.png", "--images", files.images, words=["photo.png", ".onnx"])
    refused("compile", "photo.png", "--arch", "tiny", words=["photo.png", "quantized graph"])
    refused("report", "photo.png", words=["photo.png", "program"])
    refused("report", files.qgraph, words=["quantized graph", "program"])
    refused("run", "missing", "--images", files.images, words=["missing", "nomul quantize"])


def test_corrupt_onnx(refused, tmp_path, files):
    (tmp_path / "corrupt.onnx").write_bytes(b"\x08\x07\x12garbage")
    refused("quantize", "corrupt.onnx", "--images", files.images, words=["corrupt.onnx"])
    refused("quantize", "missing.onnx", "--images", files.images, words=["missing.onnx"])


def test_unsupported_operator(refused, tmp_path, files):
    save_onnx(tmp_path / "sine.onnx", "Sin")
    refused("quantize", "sine.onnx", "--images", files.images, words=["last", "Sin"])


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_weights_that_are_not_finite(refused, tmp_path, files, weight):
    save_onnx(tmp_path / "broken.onnx", weight=weight)
    refused("quantize", "broken.onnx", "--images", files.images, words=["kernel"])


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (np.zeros((2, 3, 5, 5), np.float32), ["(3, 5, 5)", "(3, 6, 6)"]),
        (np.zeros((2, 3, 6, 6), np.int64), ["int64", "float"]),
        (np.zeros((0, 3, 6, 6), np.float32), ["no images"]),
        (np.full((2, 3, 6, 6), np.inf, np.float32), ["inf"]),
    ],
)
@pytest.mark.parametrize("verb", ["quantize", "run", "verify"])
def test_images_that_do_not_fit(refused, tmp_path, files, verb, batch, words):
    np.save(tmp_path / "batch.npy", batch)
    source = [files.network, *SHAPE] if verb == "quantize" else [files.qgraph]
    arch = ["--arch", "tiny"] if verb == "verify" else []
    refused(verb, *source, *arch, "--images", "batch.npy", words=["batch.npy", *words])


def test_calibration_with_no_images(refused, files):
    refused(
        *("quantize", files.network, *SHAPE, "--images", files.images, "--count", 0),
        words=["0 images", "1 or more"],
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lanes = 8", "lanse = 8", ["lanse", "known are"]),
        ("feature_words = 2048", "feature_words = 1000", ["feature_words = 1000", "power of two"]),
        ("clock_mhz = 100", "clock_mhz = -1", ["clock_mhz = -1", "allowed"]),
        ("[engine]", "[engine", ["TOML"]),
    ],
)
@pytest.mark.parametrize("verb", ["compile", "synth", "verilog"])
def test_architecture_that_is_wrong(refused, tmp_path, files, verb, old, new, words):
    from rtl.architecture import FOLDER

    text = (FOLDER / "tiny.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new))
    source = [files.qgraph] if verb == "compile" else []
    refused(verb, *source, "--arch", "mine.toml", words=["mine.toml", *words])


def test_architecture_that_does_not_exist(refused, files):
    refused("compile", files.qgraph, "--arch", "huge", words=["huge", "tiny"])


def test_network_that_does_not_fit(refused, tmp_path, files):
    from rtl.architecture import FOLDER

    text = (FOLDER / "tiny.toml").read_text()
    (tmp_path / "small.toml").write_text(text.replace("weight_words = 4096", "weight_words = 64"))
    refused("compile", files.qgraph, "--arch", "small.toml", words=["weight words", "64"])


def test_program_for_another_architecture(refused, files):
    for engine in ("program", "rtl"):
        refused(
            *("run", files.program, "--engine", engine, "--arch", "zynq7020"),
            *("--images", files.images),
            words=["tiny", "zynq7020", "compile"],
        )


def test_program_on_the_reference(refused, files):
    refused(
        *("run", files.program, "--engine", "reference", "--images", files.images),
        words=["is a program", "quantized graph"],
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_program(refused, tmp_path, files, share):
    with open(files.program, "rb") as stream:
        whole = stream.read()
    (tmp_path / "cut.program").write_bytes(whole[: int(share * len(whole))])
    for verb in ("report", "disassemble"):
        refused(verb, "cut.program", words=["cut.program", "write it again"])


def test_unknown_names(refused, files):
    refused("verilog", "--arch", "tiny", "--block", "cpu", words=["cpu", "sequencer"])
    refused("synth", "--arch", "tiny", "--part", "xc7z999", words=["xc7z999", "xc7z020"])
    refused(
        *("quantize", files.network, *SHAPE, "--images", files.images, "--scheme", "int3.5"),
        words=["int3.5", "log"],
    )


def test_output_that_cannot_be_written(refused, files):
    refused(
        *("compile", files.qgraph, "--arch", "tiny", "-o", "nowhere/small.program"),
        words=["nowhere/small.program"],
    )
    refused(
        "verilog", "--arch", "tiny", "--block", "nest_activation", "-o", "no/n.v", words=["no/n.v"]
    )
    refused("report", files.program, "--plot", "no/plot.png", words=["no/plot.png"])
    refused("report", files.program, "--plot", "plot.xyz", words=["plot.xyz", ".png"])
    refused("report", files.program, "--plot", "plot", words=["plot", ".png"])
    refused("run", files.qgraph, "--images", files.images, "-o", "y.txt", words=["y.txt", ".npy"])


def test_targets_are_checked_before_the_work(monkeypatch, files):
    monkeypatch.setattr("nomul.commands.demo.run_demo", lambda: pytest.fail("it began to work"))
    for path, word in (("nowhere/figures.json", "no folder"), (files.folder, "is a folder")):
        result = nomul("demo", "--json", path)
        assert result.exit_code == 1 and word in result.stderr


def test_options_without_effect(refused, files):
    verify = ("verify", files.qgraph, "--arch", "tiny", "--images", files.images)
    refused(*verify, "--scheme", "int8", words=["quantized already", "--scheme"])
    refused(*verify, "--calibration-count", 3, words=["--calibration-count"])
    refused(*verify, *SHAPE, words=["--input-shape"])
    refused(
        *("run", files.qgraph, "--arch", "tiny", "--images", files.images), words=["--arch out"]
    )
    refused(
        *("verify", files.program, "--arch", "tiny", "--images", files.images),
        words=["is a program", "quantized graph"],
    )


def test_missing_tool(refused, files, monkeypatch):
    monkeypatch.setenv("CXX", "/missing/compiler")
    refused(
        *("run", files.program, "--engine", "rtl", "--images", files.images),
        words=["/missing/compiler", "CXX"],
    )


def test_doctor_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "/missing/compiler")
    result = nomul("doctor", "--json", tmp_path / "figures.json")
    assert result.exit_code == 1 and "C++" in result.stderr.splitlines()[-1]
    assert (tmp_path / "figures.json").exists()


def test_full_disk(refused, tmp_path, files, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("NOMUL_CACHE", str(tmp_path))
    monkeypatch.setattr(Cache, "_build", full)
    result = nomul("run", files.program, "--engine", "rtl", "--images", files.images)
    line = result.stderr.splitlines()[-1]
    assert result.exit_code == 1 and str(tmp_path) in line and "is full" in line


def test_wrong_usage_is_status_2(files):
    for arguments in (
        ("quantize", files.network, "--images", files.images, "--input-shape", "3,6"),
        ("quantize", files.network),
        ("run", files.qgraph, "--engine", "magic", "--images", files.images),
        ("compile", files.qgraph),
    ):
        result = nomul(*arguments)
        assert result.exit_code == 2 and "Error" in result.stderr
