"""What a machine whose codes split has in the place of plain blocks, and how it is connected."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.counters import COUNTED, AccessCounters
from rtl.features import FeatureMemory
from rtl.isa import Nest
from rtl.nest import LoopNest
from rtl.registers import Register
from rtl.split.accumulate import SplitAccumulator
from rtl.split.load import PackedLoad
from rtl.split.parts import FIELD, PARTS, Width
from rtl.split.post import SplitPost
from rtl.split.window import WindowOperation

__all__ = ["connect_bypass", "connect_counters", "connect_post", "split_blocks"]


def split_blocks(arch: Architecture, features: int) -> dict[str, tuple[type, tuple]]:
    """Blocks by name, as :func:`rtl.accelerator.blocks`; addresses of ``features`` bits."""
    config, sizes = arch.engine_config, arch.memory
    lanes, place_bits = arch.lanes, arch.accumulator_bits // PARTS
    return {
        "features": (FeatureMemory, (lanes * FIELD, sizes.feature_words, 1, 1, lanes * PARTS)),
        "fetch": (ActivationFetch, (1, 1, lanes, FIELD, features, True)),
        "pool": (WindowOperation, (lanes, place_bits)),
        "accumulator": (
            SplitAccumulator,
            (
                lanes,
                config.sum_bits,
                arch.accumulator_bits,
                sizes.accumulator_words,
                arch.pass_shift_bits,
                arch.accumulator_bits,
            ),
        ),
        "post": (SplitPost, (lanes, place_bits)),
        "counters": (AccessCounters, ()),
    }


def connect_bypass(m: Module, parts: dict, engine_path: Value, offered: Value) -> None:
    """Vectors by packed load to the engine, which takes a code a field, and to the window."""
    settings, vectors = parts["sequencer"].settings, parts["fetch"].o
    engine, window, accumulator = parts["engine"], parts["pool"], parts["accumulator"]
    widths = settings.widths
    for lane, field in enumerate(vectors.p.codes[0][0]):
        m.submodules[f"load_{lane}"] = load = PackedLoad()
        m.d.comb += [
            load.width.eq(Mux(engine_path, Width.W32.value, widths.run)),
            load.source.eq(widths.activation),
            load.index.eq(vectors.p.index[:2]),
            load.signed.eq(settings.signed),
            load.field.eq(field),
            engine.activations.p[0][0][lane].eq(load.codes.place_0),
            window.codes[lane].eq(load.codes),
        ]
    m.d.comb += [
        engine.width.eq(widths.run),
        accumulator.width.eq(widths.run),
        window.width.eq(widths.run),
        window.operation.eq(widths.operation),
        window.valid.eq(offered & ~engine_path),
        window.start.eq(accumulator.first),
        window.inside.eq(vectors.p.inside[0]),
        Value.cast(accumulator.bypassed).eq(Value.cast(window.result)),
    ]


def connect_post(m: Module, parts: dict, nests: dict[Nest, LoopNest]) -> None:
    """What post-processing has to know of the nests, besides their words."""
    settings, post = parts["sequencer"].settings, parts["post"]
    parameter = beside(m, nests[Nest.PARAMETER], "parameter")
    residual = beside(m, nests[Nest.RESIDUAL], "residual")
    m.d.comb += [
        post.widths.eq(settings.widths),
        post.block.eq(parameter.first[2]),
        post.residual_index.eq(residual.index[:2]),
        post.index.eq(nests[Nest.OUTPUT].o.p.index[:2]),
        parts["features"].write.eq(post.mask & parts["writeback"].write.replicate(len(post.mask))),
    ]


def beside(m: Module, nest: LoopNest, name: str) -> data.View:
    """The step of a nest beside the word that its address reads, a cycle later."""
    step = Signal(nest.o.payload.shape(), name=f"{name}_step", reset_less=True)
    with m.If(nest.o.valid & nest.o.ready):
        m.d.sync += step.eq(nest.o.payload)
    return step


def connect_counters(m: Module, parts: dict, nests: dict[Nest, LoopNest], clear: Value) -> None:
    """What counts as an access to each memory."""
    weights, counters = parts["engine"].weights, parts["counters"]
    post = parts["post"]

    def taken(stream) -> Value:
        return stream.valid & stream.ready

    events = {
        Register.FEATURES_READ: taken(nests[Nest.ACTIVATION].o),
        Register.WEIGHTS_READ: taken(weights),
        Register.SUMS_ADDED: parts["accumulator"].valid,
        Register.PARAMETERS_READ: taken(post.parameters),
        Register.RESIDUALS_READ: taken(post.residual),
        Register.OUTPUTS_WRITTEN: parts["writeback"].write,
    }
    m.d.comb += [
        counters.clear.eq(clear),
        counters.events.eq(Cat(events[register] for register in COUNTED)),
    ]
