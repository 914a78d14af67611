import pytest

from benchmarks.shift_gemm import SHIFT_GEMM, others
from rtl.architecture import load_architecture

ASKED = (
    "macs_per_clock",
    "lut",
    "ff",
    "bram36",
    "dsp",
    "lut_per_mac",
    "resnet20.cycles",
    "resnet8.cycles",
    "resnet18.busy",
    "ops_per_clock_per_klut",
    "rtl.clocks_per_second",
    "ecp5.mhz",
    "resnet20.log5.loss",
    "resnet20.log4.loss",
    "resnet8.log5.loss",
    "mismatches",
)
KEPT = SHIFT_GEMM.kept()


def test_kept_results_reach_every_bar():
    assert set(ASKED) <= set(SHIFT_GEMM.keys) == set(KEPT)
    assert [figure.key for figure in SHIFT_GEMM.figures if not figure.met(KEPT)] == []


def test_figures_of_other_benchmarks_are_theirs():
    found = others()
    assert {key: KEPT[key] for key in KEPT if key in found} == {
        key: value for key, value in found.items() if key in KEPT
    }


@pytest.mark.parametrize("key", ["lut", "lut_per_mac", "resnet20.cycles", "mismatches"])
def test_a_figure_too_high_misses_its_bar(key):
    figure = next(figure for figure in SHIFT_GEMM.figures if figure.key == key)
    assert figure.met(KEPT) and not figure.met({**KEPT, key: 1e6})


def test_the_array_is_the_one_of_the_machine():
    assert load_architecture("zynq7020").macs_per_cycle == KEPT["macs_per_clock"]
