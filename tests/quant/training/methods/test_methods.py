"""Methods and their options by name."""

import pytest

from quant.errors import NoMulError
from quant.training.methods import find_method
from quant.training.methods.clipq import ClipQ
from quant.training.methods.float import Float
from quant.training.methods.nbq import NBitOptions, NBitTraining


def test_methods_by_name():
    found = {"float": Float, "nbq": NBitTraining, "clipq": ClipQ}
    assert {name: find_method(name) for name in found} == found
    with pytest.raises(
        NoMulError, match="no training method 'none'; choose one of: clipq, float, mixed, nbq"
    ):
        find_method("none")


def test_options_from_text():
    options = NBitOptions.parse({"bits": "4", "share": "0.75"})
    assert options == NBitOptions(bits=4, share=0.75)
    with pytest.raises(NoMulError, match=r"the method has no option bitz; it has: bits, first_"):
        NBitOptions.parse({"bitz": "4"})
    with pytest.raises(NoMulError, match="option bits is 'x'; give a value of type int"):
        NBitOptions.parse({"bits": "x"})
    with pytest.raises(NoMulError, match="the method has no option bits; it has: none"):
        Float.options_type.parse({"bits": "4"})
