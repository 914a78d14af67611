import pytest

from benchmarks import alexnet_speed
from benchmarks.alexnet import CONVOLUTIONS, alexnet
from benchmarks.lone_array import cost
from benchmarks.svpe import SVPE, TRAINED, others
from compiler.compile import compile
from quant.quantized import QConv
from rtl.architecture import load_architecture

ASKED = (
    *(f"svpe.n{bits}.lut" for bits in range(1, 6)),
    "svpe.n3.ff",
    "svpe.n3.dsp",
    "alexnet.speedup",
    "toggles.ratio",
    "resnet20.nbq3.loss",
    "resnet20.nbq4.loss",
    "resnet20.mismatches",
)
KEPT = SVPE.kept()


def test_kept_results_reach_every_bar():
    """Those of training are another benchmark's."""
    assert set(ASKED) <= set(SVPE.keys) == set(KEPT)
    own = [figure for figure in SVPE.figures if figure.key not in TRAINED]
    assert [figure.key for figure in own if not figure.met(KEPT)] == []


def test_figures_of_training_are_those_of_its_benchmark():
    found = others()
    assert all(found[key] == value for key, value in KEPT.items() if key in found)


@pytest.mark.parametrize("key", ["svpe.n3.lut", "svpe.n3.ff", "svpe.n3.dsp", "resnet20.mismatches"])
def test_a_figure_too_high_misses_its_bar(key):
    figure = next(figure for figure in SVPE.figures if figure.key == key)
    assert figure.met(KEPT) and not figure.met({**KEPT, key: 1e6})


def test_an_array_now():
    used = cost("shift", 3, 16)
    assert (used.lut, used.ff, used.dsp) == (KEPT["svpe.n3.lut"], KEPT["svpe.n3.ff"], 0)


@pytest.mark.parametrize("kind", ["svpe", "vpe"])
def test_alexnet_now(kind):
    """The machine named for the board is the best one that it holds."""
    named = load_architecture(f"{kind}-zcu102")
    best = alexnet_speed.best(kind, "alexnet")
    assert best.architecture == named
    assert best.total == KEPT[f"alexnet.{kind}.cycles"]
    assert KEPT[f"alexnet.{kind}.arrays"] == str(alexnet_speed.size_of(named))
    # No sweep is faster than the paper's model but that of a kernel larger than an array.
    model = alexnet_speed.paper_cycles("alexnet", *alexnet_speed.size_of(named))
    assert all(model[name] <= best.cycles[name] for name in CONVOLUTIONS[1:])


def test_limits_of_the_board():
    assert alexnet_speed.limit("vpe") == 2520 // 9
    assert alexnet_speed.limit("svpe") == int(0.9 * 274080 * 32 / 7501)


def test_shape_of_alexnet():
    graph = alexnet(classifier=True, divisor=8)
    shapes = [layer.shape for layer in graph.layers if isinstance(layer, QConv)]
    assert shapes == [
        *((8, 55, 55), (24, 27, 27), (48, 13, 13), (32, 13, 13), (32, 13, 13)),
        *((512, 1, 1), (512, 1, 1), (125, 1, 1)),
    ]
    # 714 million products an image, with the classifier, as torchvision's.
    convolutions = sum(layer.macs for layer in alexnet().layers if isinstance(layer, QConv))
    assert convolutions == 655_566_528
    assert compile(alexnet(67, 16), "svpe-small").cycles > 0
