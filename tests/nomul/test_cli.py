import json
import subprocess
import sys

import numpy as np
import pytest

from nomul.cli import VERBS, main
from quant.quantized import QuantizedGraph
from tests.nomul.conftest import nomul

SHAPE = ("--input-shape", "3,6,6")


def figures(tmp_path, *arguments):
    """The figures of a verb that must succeed, and what it printed."""
    path = tmp_path / "figures.json"
    result = nomul(*arguments, "--json", path)
    assert result.exit_code == 0, result.stderr
    return json.loads(path.read_text()), result.stdout


def test_every_verb_has_help():
    for verb in VERBS:
        result = nomul(verb, "--help")
        assert result.exit_code == 0 and "--json" in result.stdout and "--debug" in result.stdout
    assert all(verb in nomul("--help").stdout for verb in VERBS)


def test_an_unknown_verb_is_wrong_usage():
    result = nomul("explode")
    assert result.exit_code == 2 and "explode" in result.stderr


def test_quantize(files, tmp_path):
    plot, output = tmp_path / "plot.png", tmp_path / "small.qgraph"
    found, text = figures(
        tmp_path,
        *("quantize", files.network, *SHAPE, "--images", files.images, "--scheme", "int8"),
        *("--plot", plot, "--output", output, "--calibration", "min-max", "--no-bias-correction"),
    )
    assert QuantizedGraph.load(output).scheme == found["scheme"] == "int8"
    assert found["sqnr"] > 20 and len(found["layers"]) == 4
    assert "conv 3x3" in text and "linear" in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_saved_graph_is_a_source(files, tmp_path):
    import nomul as api
    from nomul.sources import find_network

    network = find_network(files.network, (3, 6, 6), None)
    api.load(network.model, (3, 6, 6)).save(tmp_path / "small.graph")
    output = tmp_path / "small.qgraph"
    figures(tmp_path, "quantize", tmp_path / "small.graph", "--images", files.images, "-o", output)
    assert output.exists()


def test_compile_and_report(files, tmp_path):
    output, plot = tmp_path / "small.program", tmp_path / "plot.png"
    made, _ = figures(tmp_path, "compile", files.qgraph, "--arch", "tiny", "-o", output)
    found, text = figures(tmp_path, "report", output, "--plot", plot)
    made.pop("file")
    assert found == made
    assert sum(layer["cycles"] for layer in found["layers"]) == found["cycles.predicted"] - 1
    assert 0 < found["busy"] <= 1 and "weights" in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_all_engines_return_the_same(files, tmp_path):
    outputs = {}
    for source, engine in (
        (files.qgraph, "reference"),
        (files.program, "program"),
        (files.program, "rtl"),
    ):
        path = tmp_path / f"{engine}.npy"
        found, _ = figures(
            tmp_path, "run", source, "--engine", engine, "--images", files.images, "-o", path
        )
        outputs[engine] = np.load(path)
        assert found["images"] == 12 and 0 <= found["accuracy"] <= 100
        if engine == "rtl":
            assert found["cycles.rtl"] == found["cycles.predicted"]
    np.testing.assert_array_equal(outputs["reference"], outputs["program"])
    np.testing.assert_array_equal(outputs["reference"], outputs["rtl"])


def test_run_takes_the_engine_that_fits(files, tmp_path):
    for source, engine in ((files.qgraph, "reference"), (files.program, "program")):
        found, _ = figures(tmp_path, "run", source, "--images", files.images, "--count", 2)
        assert (found["engine"], found["images"]) == (engine, 2)


def test_verify_a_quantized_graph(files, tmp_path):
    found, text = figures(
        tmp_path, "verify", files.qgraph, "--arch", "tiny", "--images", files.images, "--count", 3
    )
    assert found["verify.mismatches"] == 0 and found["verify.layers"] == 4
    assert found["verify.images"] == 3 and found["verify.import_error"] is None
    assert found["cycles.predicted"] == found["cycles.program"] == found["cycles.rtl"]
    assert "✗" not in text and text.count("✓") == 3 * 5


def test_verify_a_network(files, tmp_path):
    found, text = figures(
        tmp_path,
        *("verify", files.network, *SHAPE, "--arch", "tiny", "--images", files.images),
        *("--scheme", "int8", "--calibration-count", 8),
    )
    assert found["verify.import_error"] < 1e-5 and found["verify.mismatches"] == 0
    assert text.count("✓") == 4 * 5


def test_verify_a_network_of_random_weights(files, tmp_path):
    """The network is made once, or its import would be compared with other weights."""
    (tmp_path / "random.py").write_text(
        "from torch import nn\n\ndef network():\n    return nn.Conv2d(3, 3, 3)\n"
    )
    found, _ = figures(
        tmp_path,
        *("verify", f"{tmp_path / 'random.py'}:network", *SHAPE, "--arch", "tiny"),
        *("--images", files.images),
    )
    assert found["verify.import_error"] < 1e-5


def test_verify_a_network_of_features(tmp_path):
    (tmp_path / "mlp.py").write_text(
        "from torch.nn import Linear, ReLU, Sequential\n\n"
        "ready = Sequential(Linear(20, 8), ReLU(), Linear(8, 4))\n"
    )
    images = tmp_path / "features.npy"
    np.save(images, np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32))
    found, _ = figures(
        tmp_path,
        *("verify", f"{tmp_path / 'mlp.py'}:ready", "--input-shape", "20", "--arch", "tiny"),
        *("--images", images),
    )
    assert found["verify.import_error"] < 1e-5 and found["verify.layers"] == 2


def test_disassemble(files, tmp_path):
    found, text = figures(tmp_path, "disassemble", files.program)
    assert found["opcodes"]["HALT"] == found["opcodes"]["CHECK"] == 1
    assert found["instructions"] == sum(found["opcodes"].values())
    assert "  halt" in text and "layer 0 relu" in text


@pytest.mark.parametrize("block", ["nest_activation", "shift_gemm", "sequencer", "accumulator"])
def test_verilog_of_a_block(tmp_path, block):
    output = tmp_path / "block.v"
    found, _ = figures(tmp_path, "verilog", "--arch", "tiny", "--block", block, "-o", output)
    assert found["top"] == block and f"module {block}(" in output.read_text()


def test_synthesize_a_block(tmp_path):
    found, text = figures(
        tmp_path, "synth", "--arch", "tiny", "--block", "nest_activation", "--part", "xc7z020"
    )
    assert found["synth.dsp"] == 0 < found["synth.lut"] < 53_200
    assert found["synth.share.lut"] == pytest.approx(found["synth.lut"] / 53_200)
    assert "xc7z020 has" in text


def test_doctor(tmp_path):
    found, text = figures(tmp_path, "doctor")
    assert {"pyosys", "verilator", "amaranth"} <= {tool["name"] for tool in found["tools"]}
    assert "compiled simulation" in " ".join(text.split())


def test_a_real_process_ends_with_status_and_one_line(tmp_path):
    code = "from nomul.cli import main; main(prog_name='nomul')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "report", "missing.program"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "nomul: missing.program does not exist; check the path\n"


def test_the_help_does_not_import_torch():
    code = "import sys, nomul.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert main.name == "main"
