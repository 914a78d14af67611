"""Finding by a name with parameters."""

import pytest

from quant.errors import NoMulError
from quant.named import Named, find

CHOICES = [Named(r"log(?P<bits>\d)(x(?P<terms>\d))?", "log<b>", "log"), Named("int8", "int8", 8)]


def test_parameters_that_are_given():
    assert find("scheme", "log4", CHOICES) == ("log", {"bits": "4"})
    assert find("scheme", "log4x2", CHOICES) == ("log", {"bits": "4", "terms": "2"})
    assert find("scheme", "int8", CHOICES) == (8, {})


@pytest.mark.parametrize("name", ["", "int88", "xint8", "log"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(NoMulError, match=f"no scheme '{name}'; choose one of: int8, log<b>$"):
        find("scheme", name, iter(CHOICES))
