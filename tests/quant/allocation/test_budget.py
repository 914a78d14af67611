import pytest

from quant.allocation.budget import Budget
from quant.errors import NoMulError


@pytest.mark.parametrize(
    "text, budget",
    [
        ("3.0bits", Budget("bits", 3.0)),
        ("200 kB", Budget("bytes", 200e3)),
        ("1KiB", Budget("bytes", 1024.0)),
        ("77B", Budget("bytes", 77.0)),
        ("40000cycles", Budget("cycles", 40000.0)),
    ],
)
def test_as_written(text, budget):
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["3", "bits", "-1bits", "0kB", "3 miles"])
def test_no_budget(text):
    with pytest.raises(NoMulError, match=r"is no budget; write 3\.0bits"):
        Budget.parse(text)
