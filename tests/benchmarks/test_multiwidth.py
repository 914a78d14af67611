import pytest
from amaranth.back import rtlil

from benchmarks.multiwidth import ACCURACIES, BARS, MULTIWIDTH, SMALLER, others, ratios
from benchmarks.multiwidth_accuracy import NETWORKS
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


def test_kept_summaries_are_those_of_the_networks():
    kept = MULTIWIDTH.kept()
    assert kept["mismatches"] == sum(kept[f"{name}.mismatches"] for name in NETWORKS)
    for key in ("w16", "w8"):
        for kind, summary in (("speedup", "speedup"), ("fewer", "accesses")):
            least = min(kept[f"{name}.{kind}.{key}"] for name in NETWORKS)
            assert kept[f"{summary}.{key}"] == least


def test_ratios_of_a_network():
    found = {"net.w32.cycles": 400, "net.w32.accesses": 100}
    for key, cycles, words in (("w16", 200, 50), ("w8", 100, 25), ("mixed", 160, 40)):
        found |= {f"net.{key}.cycles": cycles, f"net.{key}.accesses": words}
    assert ratios("net", found) == {
        "net.speedup.w16": 2,
        "net.fewer.w16": 0.5,
        "net.speedup.w8": 4,
        "net.fewer.w8": 0.75,
        "net.speedup.mixed": 2.5,
        "net.fewer.mixed": 0.6,
    }


def test_quick_measures_whole_networks():
    assert set(SMALLER) < set(NETWORKS)
