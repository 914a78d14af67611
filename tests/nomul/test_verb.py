import json

import click
import pytest
from click.testing import CliRunner

from nomul.verb import Unmet, Verb
from quant.errors import NoMulError


def verb(function):
    return Verb("test", callback=function)


def raising(error):
    def function():
        raise error

    return verb(function)


def test_figures_are_written(tmp_path):
    path = tmp_path / "figures.json"
    result = CliRunner().invoke(verb(lambda: {"a.b": 1}), ["--json", str(path)])
    assert result.exit_code == 0
    assert json.loads(path.read_text()) == {"a.b": 1}


def test_a_user_error_is_one_line_and_status_1(tmp_path):
    path = tmp_path / "figures.json"
    command = raising(NoMulError("x.onnx does not exist;\n check [the] path"))
    result = CliRunner().invoke(command, ["--json", str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "nomul: x.onnx does not exist; check [the] path\n"
    assert not path.exists()


def test_an_unmet_check_still_writes_its_figures(tmp_path):
    path = tmp_path / "figures.json"
    result = CliRunner().invoke(raising(Unmet("too large", {"lut": 2})), ["--json", str(path)])
    assert result.exit_code == 1 and "too large" in result.stderr
    assert json.loads(path.read_text()) == {"lut": 2}


def test_a_defect_is_one_line_and_status_3():
    result = CliRunner().invoke(raising(RuntimeError("first\nsecond")), [])
    assert result.exit_code == 3
    assert result.stderr.startswith("nomul: a defect of NoMul (RuntimeError: first)")
    assert result.stderr.count("\n") == 1


def test_an_interrupt_is_one_line_and_status_130():
    result = CliRunner().invoke(raising(KeyboardInterrupt()), [])
    assert (result.exit_code, result.stderr) == (130, "nomul: interrupted\n")


@pytest.mark.parametrize("error", [NoMulError("user"), RuntimeError("defect")])
def test_debug_shows_the_traceback(error):
    result = CliRunner().invoke(raising(error), ["--debug"])
    assert result.exception is error


def test_wrong_usage_is_status_2():
    result = CliRunner().invoke(verb(lambda: {}), ["--nonsense"])
    assert result.exit_code == 2 and "--nonsense" in result.stderr
    assert isinstance(result.exception, SystemExit | click.UsageError)
