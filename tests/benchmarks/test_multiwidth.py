import pytest
from amaranth.back import rtlil

from benchmarks.multiwidth import ACCURACIES, BARS, MULTIWIDTH, others
from benchmarks.split_element import ProcessingElement

ASKED = (
    *BARS,
    "resnet20.w8.loss",
    "resnet20.w16.loss",
    "pe.lut",
    "pe.fixed32.lut",
    "mismatches",
)


def test_all_figures_asked_for_are_there():
    assert set(ASKED) <= set(MULTIWIDTH.keys)


def test_accuracies_are_those_of_the_other_half():
    assert set(others()) <= set(ACCURACIES) <= set(MULTIWIDTH.keys)


@pytest.mark.parametrize("key, value", BARS.items())
def test_bars(key, value):
    figure = next(figure for figure in MULTIWIDTH.figures if figure.key == key)
    assert figure.met({key: value}) and not figure.met({key: value - 0.01})
    assert not figure.met({key: None})


@pytest.mark.parametrize("fixed", [False, True])
def test_processing_element(fixed):
    rtlil.convert(ProcessingElement(fixed))
