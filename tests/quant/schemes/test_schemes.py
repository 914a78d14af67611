"""Finding schemes, and adding one."""

import numpy as np
import pytest

from quant import schemes
from quant.errors import NoMulError
from quant.schemes import Scheme, find_scheme
from quant.schemes.int8 import Int8
from quant.schemes.log import Log


@pytest.mark.parametrize(
    ("name", "kind"), [("int8", Int8), ("log2", Log), ("log6", Log), ("log3x2", Log)]
)
def test_schemes_are_found_by_name(name, kind):
    scheme = find_scheme(name)
    assert type(scheme) is kind
    assert scheme.name == name
    assert scheme.activation_bits("any") == 8


@pytest.mark.parametrize("name", ["", "log", "log1", "log7", "log2x2", "log4x3", "int16"])
def test_unknown_schemes_list_the_known(name):
    with pytest.raises(NoMulError, match=r"choose one of: int8, log<b> \(b = 2..6\), log<b>x2"):
        find_scheme(name)


def test_a_new_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "ternary.py").write_text(
        "import numpy as np\n"
        "from quant.schemes import Scheme\n"
        "class Ternary(Scheme):\n"
        "    pattern = r'ternary(?P<bits>\\d+)'\n"
        "    usage = 'ternary<bits>'\n"
        "    def __init__(self, name, bits):\n"
        "        super().__init__(name)\n"
        "        self.bits = int(bits)\n"
        "    def activation_bits(self, tensor):\n"
        "        return self.bits\n"
        "    def quantize_weights(self, conv, inputs):\n"
        "        return np.sign(conv.weight).astype(np.int32), np.zeros(len(conv.weight), int)\n"
    )
    monkeypatch.setattr(schemes, "__path__", [*schemes.__path__, str(tmp_path)])
    scheme = find_scheme("ternary5")
    assert isinstance(scheme, Scheme)
    assert scheme.activation_bits("x") == 5
    assert np.array_equal(find_scheme("log4").levels, [0, 1, 2, 4, 8, 16, 32, 64])
