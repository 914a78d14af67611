"""Widths of single tensors."""

import pytest

from quant.errors import NoMulError
from quant.mixed import MixedScheme
from quant.schemes import Activations, find_scheme
from quant.schemes.int8 import Int8
from quant.schemes.wide import Wide


def test_without_widths_all_is_the_scheme():
    scheme = find_scheme("log4a5")
    mixed = MixedScheme(scheme)
    assert mixed.name == "log4a5"
    assert mixed.weights("a", "a") is scheme
    assert mixed.activations("a") == Activations(5)


def test_a_tensor_takes_the_weights_along_unless_they_have_a_width():
    mixed = MixedScheme(find_scheme("int8"), {"a": 16, "b": 32, "b.weight": 8, "c.weight": 16})
    assert mixed.name == "int8+mixed"
    widths = {name: mixed.weights(name, name).width for name in "abcd"}
    assert widths == {"a": 16, "b": 8, "c": 16, "d": 8}
    assert isinstance(mixed.weights("b", "b"), Int8) and isinstance(mixed.weights("a", "a"), Wide)
    assert [mixed.activations(name).bits for name in "abcd"] == [16, 32, 8, 8]
    # A layer whose output takes the format of another tensor.
    assert mixed.weights("d", "a").width == 16


@pytest.mark.parametrize("width", [4, 0, "16", 16.5, None, True])
def test_impossible_widths_are_refused(width):
    with pytest.raises(NoMulError, match=r"the width of a is .*; choose one of 8, 16, 32"):
        MixedScheme(find_scheme("int8"), {"a": width})


def test_unknown_tensors_are_refused():
    mixed = MixedScheme(find_scheme("int8"), {"stm": 16})
    with pytest.raises(
        NoMulError, match=r"no tensor stm can have a width .*; such are stem, stem.w"
    ):
        mixed.check(["stem", "head"], ["stem"])
    MixedScheme(find_scheme("int8"), {"stem": 16, "stem.weight": 8}).check(["stem"], ["stem"])
    with pytest.raises(NoMulError, match=r"no tensor pool.weight can have a width"):
        MixedScheme(find_scheme("int8"), {"pool.weight": 8}).check(["stem", "pool"], ["stem"])
