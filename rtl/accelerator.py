"""The machine: an engine in its shell, behind the host port."""

from typing import Any

from amaranth.hdl import Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from rtl import engines
from rtl.accumulate import Accumulator
from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.features import FeatureMemory
from rtl.host import HostBus, HostPort
from rtl.isa import INSTRUCTION_BITS, LEVELS, Nest, Path
from rtl.nest import LoopNest
from rtl.post import PostProcess, parameter_word
from rtl.registers import Control, Region
from rtl.sequencer import Sequencer
from rtl.store import Store

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """A machine of an architecture; ``docs/machine.md`` says what it does and in how many cycles.

    The data of a run pass through the submodules in this order: ``nest_activation``, ``features``,
    ``fetch``, ``engine`` (fed by ``nest_weight`` and ``weights``), ``accumulator`` (led by
    ``nest_sum``), ``post`` (with ``nest_parameter``, ``parameters`` and ``nest_residual``) and, by
    ``nest_output``, back to ``features``.

    Parameters
    ----------
    architecture : Architecture

    Members
    -------
    bus : In(HostBus)
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        super().__init__({"bus": In(HostBus())})

    def elaborate(self, platform) -> Module:
        m = Module()
        arch, sizes = self.architecture, self.architecture.memory
        config = arch.engine_config
        lanes, bits = arch.lanes, arch.activation_bits

        # A host's stop puts everything but the host port and the memories into its first state.
        stop = Signal()
        reset = ResetInserter(stop)

        # Memories.
        features = FeatureMemory(lanes * bits, sizes.feature_words)
        m.submodules.features = reset(features)
        weights = Store(config.weight_bits, sizes.weight_words)
        m.submodules.weights = reset(weights)
        parameter_bits = parameter_word(arch.accumulator_bits).size
        parameters = Store(parameter_bits, sizes.parameter_words)
        m.submodules.parameters = reset(parameters)
        accumulator_address = (sizes.accumulator_words - 1).bit_length()

        # Control.
        address_bits = {
            Nest.ACTIVATION: features.address_bits,
            Nest.WEIGHT: weights.address_bits,
            Nest.SUM: accumulator_address,
            Nest.PARAMETER: parameters.address_bits,
            Nest.RESIDUAL: features.address_bits,
            Nest.OUTPUT: features.address_bits,
        }
        sequencer = Sequencer(
            address_bits, arch.pass_shift_bits, sizes.instruction_words, arch.fingerprint
        )
        m.submodules.sequencer = reset(sequencer)
        settings = sequencer.settings
        engine_path = Signal()
        m.d.comb += engine_path.eq(settings.path == Path.ENGINE)
        runs_where = {
            Nest.WEIGHT: engine_path,
            Nest.PARAMETER: ~settings.post.uniform,
            Nest.RESIDUAL: settings.post.residual,
        }
        nests = {}
        for nest in Nest:
            name = nest.name.lower()
            nests[nest] = LoopNest(LEVELS[nest], address_bits[nest], nest is Nest.ACTIVATION)
            m.submodules[f"nest_{name}"] = reset(nests[nest])
            m.d.comb += [
                nests[nest].settings.eq(settings[name]),
                nests[nest].start.eq(sequencer.start & runs_where.get(nest, 1)),
            ]
        m.d.comb += sequencer.done.eq(nests[Nest.OUTPUT].done)

        # Activations.
        fetch = ActivationFetch(lanes, bits, LEVELS[Nest.ACTIVATION], features.address_bits)
        m.submodules.fetch = reset(fetch)
        wiring.connect(m, nests[Nest.ACTIVATION].o, fetch.i)
        wiring.connect(m, fetch.address, features.activation_address)
        wiring.connect(m, features.activation, fetch.word)
        m.d.comb += [
            fetch.bounds.eq(settings.bounds),
            features.bank.eq(settings.activation.address[-1]),
        ]

        # Sums: of the engine, or the activations themselves.
        engine = engines.find(arch.engine)(config)
        m.submodules.engine = reset(engine)
        m.d.comb += [
            engine.settings.eq(settings.engine),
            engine.start.eq(sequencer.start),
            *pass_address(nests[Nest.WEIGHT].o, weights.address),
            engine.weights.payload.eq(weights.word.payload),
            engine.weights.valid.eq(weights.word.valid),
            weights.word.ready.eq(engine.weights.ready),
        ]
        sum_bits = max(config.sum_bits, bits + 1)
        accumulator = Accumulator(
            lanes=lanes,
            sum_bits=sum_bits,
            bits=arch.accumulator_bits,
            words=sizes.accumulator_words,
            shift_bits=arch.pass_shift_bits,
            max_bits=bits + 1,
        )
        m.submodules.accumulator = reset(accumulator)
        sums = stream.Signature(data.ArrayLayout(signed(sum_bits), lanes)).create(path=("sums",))
        m.d.comb += [engine.activations.payload.eq(fetch.o.payload)]
        with m.If(engine_path):
            m.d.comb += [
                engine.activations.valid.eq(fetch.o.valid),
                fetch.o.ready.eq(engine.activations.ready),
                sums.valid.eq(engine.sums.valid),
                engine.sums.ready.eq(sums.ready),
            ]
        with m.Else():
            m.d.comb += [sums.valid.eq(fetch.o.valid), fetch.o.ready.eq(sums.ready)]
        for lane in range(lanes):
            code = fetch.o.p[lane]
            bypass = Mux(settings.signed, code.as_signed(), code)
            m.d.comb += sums.p[lane].eq(Mux(engine_path, engine.sums.p[lane], bypass))
        m.d.comb += [
            accumulator.i.valid.eq(sums.valid),
            accumulator.i.payload.eq(sums.payload),
            sums.ready.eq(accumulator.i.ready),
            accumulator.operation.eq(settings.accumulate),
            accumulator.passes.eq(settings.passes),
        ]
        wiring.connect(m, nests[Nest.SUM].o, accumulator.step)

        # Codes, and back to the features.
        post = PostProcess(lanes, arch.accumulator_bits, bits)
        m.submodules.post = reset(post)
        wiring.connect(m, accumulator.o, post.i)
        m.d.comb += [
            post.settings.eq(settings.post),
            post.start.eq(sequencer.start),
            *pass_address(nests[Nest.PARAMETER].o, parameters.address),
            post.parameters.payload.eq(parameters.word.payload),
            post.parameters.valid.eq(parameters.word.valid),
            parameters.word.ready.eq(post.parameters.ready),
            *pass_address(nests[Nest.RESIDUAL].o, features.residual_address),
            post.residual.payload.eq(features.residual.payload),
            post.residual.valid.eq(features.residual.valid),
            features.residual.ready.eq(post.residual.ready),
            nests[Nest.OUTPUT].o.ready.eq(post.valid),
            features.write.eq(post.valid & nests[Nest.OUTPUT].o.valid),
            features.write_address.eq(nests[Nest.OUTPUT].o.p.address),
            features.write_data.eq(post.o),
        ]

        # The host.
        memories: dict[Region, tuple[Any, int]] = {
            Region.INSTRUCTIONS: (sequencer, INSTRUCTION_BITS),
            Region.WEIGHTS: (weights, config.weight_bits),
            Region.PARAMETERS: (parameters, parameter_bits),
            Region.FEATURES: (features, lanes * bits),
        }
        m.submodules.host = host = HostPort(
            {
                region: (len(block.host.address), width)
                for region, (block, width) in memories.items()
            },
            arch.fingerprint,
        )
        for region, (block, _) in memories.items():
            wiring.connect(m, getattr(host, region.name.lower()), block.host)
        wiring.connect(m, wiring.flipped(self.bus), host.bus)
        m.d.comb += [
            stop.eq(host.control[Control.STOP.bit_length() - 1]),
            sequencer.control.eq(host.control),
            sequencer.stop_after.eq(host.stop_after),
            host.state.eq(sequencer.state),
            host.error.eq(sequencer.error),
            host.pc.eq(sequencer.pc),
            host.cycles.eq(sequencer.cycles),
            host.runs.eq(sequencer.runs),
        ]
        return m


def pass_address(step, address) -> list:
    """Statements that take a stream of addresses out of a nest's words."""
    return [
        address.valid.eq(step.valid),
        address.payload.eq(step.p.address),
        step.ready.eq(address.ready),
    ]
