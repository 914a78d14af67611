"""The machine: an engine in its shell, behind the host port."""

from amaranth.hdl import Module, ResetInserter, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from rtl import engines
from rtl.accumulate import Accumulator
from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.features import FeatureMemory
from rtl.host import HostBus, HostPort
from rtl.isa import INSTRUCTION_BITS, LEVELS, Nest, Path
from rtl.nest import LoopNest
from rtl.pool import WindowMaximum
from rtl.post import PostProcess, parameter_word
from rtl.queue import Queue
from rtl.registers import Control, Region
from rtl.sequencer import Sequencer
from rtl.store import Store
from rtl.writeback import WriteBack

__all__ = ["Accelerator", "words_under_way"]


def words_under_way(architecture: Architecture) -> int:
    """Words of sums that may still finish when the queue says that it has no more room."""
    # One word each: taken in the cycle that fills the queue, and in the one that sees it.
    return architecture.engine_config.latency + Accumulator.latency + 2


class Accelerator(wiring.Component):
    """A machine of an architecture; ``docs/machine.md`` says what it does and in how many cycles.

    The data of a run pass through the submodules in this order: ``nest_activation``, ``fetch``
    (which reads ``features``), ``engine`` (fed by ``nest_weight`` and ``weights``) or ``pool``,
    ``accumulator`` (led by ``nest_sum``), ``queue``, ``post`` (with ``nest_parameter``,
    ``parameters`` and ``nest_residual``) and, by ``writeback`` and ``nest_output``, back to
    ``features``.

    Parameters
    ----------
    architecture : Architecture
    family : str, optional
        FPGA family whose primitives the engine may use; without one the machine is generic.

    Members
    -------
    bus : In(HostBus)
    """

    def __init__(self, architecture: Architecture, family: str | None = None) -> None:
        self.architecture = architecture
        self.family = family
        super().__init__({"bus": In(HostBus())})

    def elaborate(self, platform) -> Module:
        m = Module()
        arch, sizes = self.architecture, self.architecture.memory
        config = arch.engine_config
        lanes, bits = arch.lanes, arch.activation_bits
        groups, vector_words = config.groups, config.vector_words

        # A host's stop puts everything but the host port and the memories into its first state.
        stop = Signal()
        reset = ResetInserter(stop)

        # Memories.
        features = FeatureMemory(lanes * bits, sizes.feature_words, groups, vector_words)
        m.submodules.features = reset(features)
        weights = Store(config.weight_bits, sizes.weight_words)
        m.submodules.weights = reset(weights)
        parameter_bits = parameter_word(arch.accumulator_bits, lanes).size
        parameters = Store(parameter_bits, sizes.parameter_words)
        m.submodules.parameters = reset(parameters)

        # Control.
        address_bits = {
            Nest.ACTIVATION: features.address_bits,
            Nest.WEIGHT: weights.address_bits,
            Nest.SUM: (sizes.accumulator_words - 1).bit_length(),
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
        fetch = ActivationFetch(groups, vector_words, lanes, bits, features.address_bits)
        m.submodules.fetch = reset(fetch)
        wiring.connect(m, nests[Nest.ACTIVATION].o, fetch.i)
        m.d.comb += [
            fetch.bounds.eq(settings.bounds),
            fetch.vector.eq(settings.vector),
            features.read.eq(fetch.read),
            features.index.eq(fetch.index),
            fetch.word.eq(features.word),
        ]

        # Sums: of the engine, or the largest activations themselves. None of them can wait, so a
        # vector is only taken while the queue has room for all that is under way.
        engine = engines.find(arch.engine)(config, self.family)
        m.submodules.engine = reset(engine)
        accumulator = Accumulator(
            lanes=groups * lanes,
            sum_bits=config.sum_bits,
            bits=arch.accumulator_bits,
            words=sizes.accumulator_words,
            shift_bits=arch.pass_shift_bits,
            bypass_bits=bits + 1,
        )
        m.submodules.accumulator = reset(accumulator)
        pool = WindowMaximum(groups, lanes, bits)
        m.submodules.pool = reset(pool)
        finished = data.ArrayLayout(data.ArrayLayout(signed(arch.accumulator_bits), lanes), groups)
        queue = Queue(finished, sizes.queue_words, words_under_way(arch))
        m.submodules.queue = reset(queue)
        step = nests[Nest.SUM].o
        m.d.comb += [
            engine.settings.eq(settings.engine),
            engine.start.eq(sequencer.start),
            *pass_address(nests[Nest.WEIGHT].o, weights.address),
            engine.weights.payload.eq(weights.word.payload),
            engine.weights.valid.eq(weights.word.valid),
            weights.word.ready.eq(engine.weights.ready),
            engine.activations.payload.eq(fetch.o.p.codes),
            engine.activations.valid.eq(fetch.o.valid & queue.room & engine_path),
            fetch.o.ready.eq(queue.room & (engine.activations.ready | ~engine_path)),
            pool.clear.eq(sequencer.start),
            pool.valid.eq(fetch.o.valid & queue.room & ~engine_path),
            pool.start.eq(step.p.first[1]),
            pool.signed.eq(settings.signed),
            pool.inside.eq(fetch.o.p.inside),
            *(pool.codes[group].eq(fetch.o.p.codes[group][0]) for group in range(groups)),
            accumulator.bypass.eq(~engine_path),
            accumulator.passes.eq(settings.passes),
            accumulator.valid.eq(engine.valid | pool.valid),
            Value.cast(accumulator.sums).eq(Value.cast(engine.sums)),
            Value.cast(accumulator.bypassed).eq(Value.cast(pool.largest)),
            queue.write.eq(accumulator.o_valid),
            Value.cast(queue.data).eq(Value.cast(accumulator.o)),
        ]
        wiring.connect(m, step, accumulator.step)

        # Codes, and back to the features.
        post = PostProcess(groups, lanes, arch.accumulator_bits, bits)
        m.submodules.post = reset(post)
        writeback = WriteBack(groups, features.address_bits)
        m.submodules.writeback = reset(writeback)
        wiring.connect(m, queue.o, post.i)
        wiring.connect(m, nests[Nest.OUTPUT].o, writeback.step)
        m.d.comb += [
            post.settings.eq(settings.post),
            *pass_address(nests[Nest.PARAMETER].o, parameters.address),
            post.parameters.payload.eq(parameters.word.payload),
            post.parameters.valid.eq(parameters.word.valid),
            parameters.word.ready.eq(post.parameters.ready),
            *pass_address(nests[Nest.RESIDUAL].o, features.residual_address),
            post.residual.payload.eq(features.residual.payload),
            post.residual.valid.eq(features.residual.valid),
            features.residual.ready.eq(post.residual.ready),
            writeback.members.eq(settings.members),
            writeback.valid.eq(post.valid),
            features.write.eq(writeback.write),
            features.write_address.eq(writeback.address),
            features.write_data.eq(post.o),
        ]

        # The host.
        memories = {
            Region.INSTRUCTIONS: (sequencer.host, INSTRUCTION_BITS),
            Region.WEIGHTS: (weights.host, config.weight_bits),
            Region.PARAMETERS: (parameters.host, parameter_bits),
            Region.FEATURES: (features.host, lanes * bits),
        }
        m.submodules.host = host = HostPort(
            {region: (len(side.address), width) for region, (side, width) in memories.items()},
            arch.fingerprint,
        )
        for region, (side, _) in memories.items():
            wiring.connect(m, getattr(host, region.name.lower()), side)
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
