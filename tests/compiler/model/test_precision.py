import json

import pytest

from compiler.model.external import Segment
from compiler.model.precision import NATIVE, Precision, load_precision, passes_of
from quant.errors import NoMulError
from tests.machines import codebook_machine, convolver, machine


@pytest.mark.parametrize(
    ("architecture", "passes"),
    [
        # Canonical signed digits of b-bit weights are at most ceil(b / 2).
        (machine(weights="w4r"), [1, 2, 2, 3, 3, 4, 4]),
        # 1 and 3 are sizes of the format.
        (machine(weights="log4"), [1, 1, 2, 3, 3, 4, 4]),
        # Three values are a codebook, else two bits a pass.
        (codebook_machine(), [1, 2, 3, 3, 4, 4, 5]),
        (convolver("vpe"), [1] * 7),
    ],
)
def test_passes_of_widths(architecture, passes):
    assert [passes_of(architecture, bits) for bits in range(2, 9)] == passes
    assert passes_of(architecture, NATIVE) == 1


def test_weights_that_an_engine_cannot_make_are_refused():
    with pytest.raises(NoMulError, match="of 8-bit weights: a weight needs the term"):
        passes_of(machine(weights="w3", pass_shift_bits=1), 8)


def test_groups_of_equal_passes_are_one_segment():
    widths = Precision("", 8, {"a": ((8, 2), (4, 3), (4, 4))})
    architecture = machine(weights="w4r")
    assert widths.segments("a", 16, architecture) == [Segment(8, 1), Segment(8, 2)]
    assert widths.segments("b", 16, architecture) == [Segment(16, 4)]
    with pytest.raises(NoMulError, match="groups of layer a have 16 channels, it has 20"):
        widths.segments("a", 20, architecture)


def test_a_file_of_widths(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"default": 0, "layers": {"a": [[8, 2], [4, 3]]}}))
    assert load_precision(path) == Precision("mine", 0, {"a": ((8, 2), (4, 3))})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no widths"),
        ('{"default": 8}', "holds no widths .KeyError"),
        ('{"default": 8, "layers": {"a": [3]}}', "holds no widths .TypeError"),
        ('{"default": 9, "layers": {}}', "asks for 9 bits; allowed are 2 to 8"),
        ('{"default": 8, "layers": {"a": [[4, 1]]}}', "asks for 1 bits"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(NoMulError, match=message):
        load_precision(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(NoMulError, match="cannot be read"):
        load_precision(tmp_path / "none.json")
