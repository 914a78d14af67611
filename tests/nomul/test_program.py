import numpy as np
import pytest

import nomul
from quant.quantized import QuantizedGraph


@pytest.fixture
def program(files):
    return nomul.compile(QuantizedGraph.load(files.qgraph), "tiny")


def test_engines_return_the_same(program, files):
    images = np.load(files.images)["x"][:3]
    reference = program.run(images)
    assert reference.shape == (3, 10) and reference.dtype == np.float64
    for engine in ("program", "rtl"):
        np.testing.assert_array_equal(program.run(images, engine=engine), reference)


def test_unknown_engine(program):
    with pytest.raises(nomul.NoMulError, match="no engine is named fpga; take reference"):
        program.run(np.zeros((1, 3, 6, 6), np.float32), engine="fpga")


def test_verify_returns_what_it_compared(program, files):
    result = program.verify(np.load(files.images)["x"][:1])
    assert isinstance(result, nomul.Verification)
    assert result.rtl_cycles == program.cycles and result.images == 1


def test_save(program, tmp_path):
    from compiler.program import Program

    program.save(tmp_path / "small.program")
    assert Program.load(tmp_path / "small.program").cycles == program.cycles


def test_there_is_no_other_attribute():
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        nomul.train  # noqa: B018
