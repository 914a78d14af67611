"""Finding schemes, and adding one."""

import numpy as np
import pytest

from quant import schemes
from quant.errors import NoMulError
from quant.numbers import Format
from quant.schemes import Activations, Scheme, find_scheme
from quant.schemes.int8 import Int8
from quant.schemes.levels import OneFormat, TwoPasses


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int8", Int8),
        ("w3", OneFormat),
        ("w4r", OneFormat),
        ("w4+", TwoPasses),
        ("log6", OneFormat),
        ("w3x2", TwoPasses),
        ("w4rx2", TwoPasses),
    ],
)
@pytest.mark.parametrize(
    ("suffix", "activations"),
    [
        ("", Activations()),
        ("a4", Activations(4)),
        ("alog", Activations(8, True)),
        ("a6log", Activations(6, True)),
        ("q5", Activations(fraction=5)),
    ],
)
def test_schemes_are_found_by_name(name, kind, suffix, activations):
    scheme = find_scheme(name + suffix)
    assert type(scheme) is kind
    assert scheme.name == name + suffix
    assert scheme.activations == activations


@pytest.mark.parametrize(
    "name",
    [
        "",
        "log",
        "log2",
        "log7",
        "log4x2",
        "w4x3",
        "w5",
        "int4",
        "int24",
        "int16+",
        "int8+",
        "w4+++",
        "w4x2+",
        "log4+",
    ]
    + ["log4a", "log4a8", "log4a8log", "log4a3", "log4log", "log4q", "log4q8", "log4a4q5"],
)
def test_unknown_schemes_list_the_known(name):
    message = (
        r"choose one of: clipq<n> .*, int16, int32, int8, log4, .* w4r, nbq<n> .*, w3x2, "
        r".* \(at both ends\)"
    )
    with pytest.raises(NoMulError, match=message):
        find_scheme(name)


def test_only_unsigned_tensors_are_logarithmic():
    assert Activations(8, True).format(True, 3) == Format(8, True, 3)
    assert Activations(4, True).format(False, 3) == Format(4, False, 3, logarithmic=True)


def test_a_new_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "ternary.py").write_text(
        "import numpy as np\n"
        "from quant.schemes import Scheme\n"
        "class Ternary(Scheme):\n"
        "    pattern = r'ternary(?P<largest>\\d+)'\n"
        "    usage = 'ternary<largest>'\n"
        "    def __init__(self, name, activations, largest):\n"
        "        super().__init__(name, activations)\n"
        "        self.largest = int(largest)\n"
        "    def quantize_weights(self, conv, inputs):\n"
        "        return np.sign(conv.weight).astype(np.int32), np.zeros(len(conv.weight), int)\n"
    )
    monkeypatch.setattr(schemes, "__path__", [*schemes.__path__, str(tmp_path)])
    scheme = find_scheme("ternary5a4")
    assert isinstance(scheme, Scheme)
    assert scheme.largest == 5
    assert scheme.activations.bits == 4
    assert np.array_equal(find_scheme("w4").levels, [0, 1, 2, 4, 8, 16, 32, 64])
