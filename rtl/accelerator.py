"""The machine: an engine in its shell, behind the host port."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl import engines
from rtl.accumulate import Accumulator
from rtl.activations import ActivationFetch
from rtl.architecture import Architecture
from rtl.axi.signatures import Axi
from rtl.counters import COUNTED
from rtl.dma.engine import Dma
from rtl.dma.registers import CHANNELS
from rtl.features import FeatureMemory
from rtl.host import HostBus, HostPort
from rtl.isa import LEVELS, Nest, Path
from rtl.nest import LoopNest
from rtl.pool import WindowMaximum
from rtl.post import PostProcess
from rtl.queue import Queue
from rtl.registers import Control, Region, State
from rtl.sequencer import Sequencer
from rtl.split import machine as split
from rtl.store import Store
from rtl.writeback import WriteBack

__all__ = ["Accelerator", "blocks"]


def blocks(arch: Architecture, family: str | None = None) -> dict[str, tuple[type, tuple]]:
    """The submodules of a machine by name: component and arguments, but for the host port."""
    config, sizes = arch.engine_config, arch.memory
    lanes, bits, sum_bits = arch.lanes, arch.activation_bits, arch.accumulator_bits
    groups, vector_words = config.groups, config.vector_words
    features = (sizes.feature_words - 1).bit_length()
    address_bits = {
        Nest.ACTIVATION: features,
        Nest.WEIGHT: (sizes.weight_words - 1).bit_length(),
        Nest.SUM: (sizes.accumulator_words - 1).bit_length(),
        Nest.PARAMETER: (sizes.parameter_words - 1).bit_length(),
        Nest.RESIDUAL: features,
        Nest.OUTPUT: features,
    }
    sums = data.ArrayLayout(data.ArrayLayout(signed(sum_bits), lanes), groups)
    nests = {
        f"nest_{nest.name.lower()}": (
            LoopNest,
            (LEVELS[nest], address_bits[nest], nest is Nest.ACTIVATION),
        )
        for nest in Nest
    }
    return {
        "sequencer": (
            Sequencer,
            (
                address_bits,
                arch.pass_shift_bits,
                sizes.instruction_words,
                arch.fingerprint,
                arch.splits,
                arch.channels,
            ),
        ),
        **nests,
        "features": (
            FeatureMemory,
            (lanes * bits, sizes.feature_words, groups, vector_words, 1, bool(arch.external)),
        ),
        "fetch": (ActivationFetch, (groups, vector_words, lanes, bits, features)),
        "weights": (Store, (config.weight_bits, sizes.weight_words, False)),
        "engine": (engines.find(arch.engine), (config, family)),
        "pool": (WindowMaximum, (groups, lanes, bits)),
        "accumulator": (
            Accumulator,
            (
                groups * lanes,
                config.sum_bits,
                sum_bits,
                sizes.accumulator_words,
                arch.pass_shift_bits,
                bits + 1,
                bool(arch.external),
            ),
        ),
        "queue": (Queue, (sums, sizes.queue_words, arch.words_under_way)),
        "parameters": (Store, (arch.parameter_bits, sizes.parameter_words, False)),
        "post": (PostProcess, (groups, lanes, sum_bits, bits, bool(arch.logarithmic))),
        "writeback": (WriteBack, (groups, features)),
        **(split.split_blocks(arch, features) if arch.splits else {}),
    }


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
    irq : Out(1)
        See :class:`HostPort`.
    axi_0, axi_1 : Out(Axi)
        Ports to external memory, of a machine that has it.
    """

    def __init__(self, architecture: Architecture, family: str | None = None) -> None:
        self.architecture = architecture
        self.family = family
        channels = architecture.channels
        ports = {f"axi_{n}": Out(Axi(channels.axi)) for n in range(CHANNELS)} if channels else {}
        super().__init__({"bus": In(HostBus()), "irq": Out(1), **ports})

    def elaborate(self, platform) -> Module:
        m = Module()
        arch = self.architecture
        # A host's stop puts everything but the host port and the memories into its first state.
        stop = Signal()
        reset = ResetInserter(stop)
        parts = {
            name: kind(*arguments) for name, (kind, arguments) in blocks(arch, self.family).items()
        }
        for name, part in parts.items():
            m.submodules[name] = reset(part)
        nests = {nest: parts[f"nest_{nest.name.lower()}"] for nest in Nest}
        sequencer = parts["sequencer"]
        self.connect_control(m, sequencer, nests)
        self.connect_sums(m, parts, nests)
        self.connect_codes(m, parts, nests)

        regions = {
            Region.INSTRUCTIONS: sequencer,
            Region.WEIGHTS: parts["weights"],
            Region.PARAMETERS: parts["parameters"],
            Region.FEATURES: parts["features"],
        }
        sizes = {}
        for region, part in regions.items():
            shared = arch.external and region is Region.FEATURES
            address = part.host.read_address if shared else part.host.address
            sizes[region] = len(address), len(part.host.write_data)
        counted = COUNTED if arch.splits else ()
        m.submodules.host = host = HostPort(sizes, arch.fingerprint, counted)
        if arch.external:
            self.connect_channels(m, parts, regions, host, stop)
        else:
            for region, part in regions.items():
                wiring.connect(m, getattr(host, region.name.lower()), part.host)
            wiring.connect(m, wiring.flipped(self.bus), host.bus)
        m.d.comb += [
            self.irq.eq(host.irq),
            stop.eq(host.control[Control.STOP.bit_length() - 1]),
            sequencer.control.eq(host.control),
            sequencer.stop_after.eq(host.stop_after),
            host.state.eq(sequencer.state),
            host.error.eq(sequencer.error),
            host.pc.eq(sequencer.pc),
            host.cycles.eq(sequencer.cycles),
            host.runs.eq(sequencer.runs),
        ]
        if arch.splits:
            start = host.control[Control.START.bit_length() - 1]
            clear = start & (sequencer.state != State.RUNNING)
            split.connect_counters(m, parts, nests, clear)
            m.d.comb += host.counts.eq(parts["counters"].counts)
        return m

    def connect_channels(
        self, m: Module, parts: dict, regions: dict, host: HostPort, stop: Signal
    ) -> None:
        """The channels between host port and memories, at the host's bus, and the program's orders.

        A stop resets them in their own way: what is under way on their ports is finished.
        """
        sequencer, features = parts["sequencer"], parts["features"]
        channels = self.architecture.channels
        assert channels
        m.submodules.dma = dma = Dma(channels)
        for region, part in regions.items():
            name = region.name.lower()
            wiring.connect(m, getattr(host, name), getattr(dma, f"host_{name}"))
            wiring.connect(m, getattr(dma, f"memory_{name}"), part.host)
        for bus in (host.bus, dma.bus):
            m.d.comb += [
                bus.address.eq(self.bus.address),
                bus.write.eq(self.bus.write),
                bus.write_data.eq(self.bus.write_data),
                bus.read.eq(self.bus.read),
            ]
        for n in range(CHANNELS):
            port = f"axi_{n}"
            wiring.connect(m, getattr(dma, port), wiring.flipped(getattr(self, port)))
        wiring.connect(m, sequencer.transfer, dma.transfer)
        wiring.connect(m, sequencer.mark, dma.mark)
        ended = Cat(dma.ended_0, dma.ended_1)
        m.d.comb += [
            self.bus.read_data.eq(host.bus.read_data | dma.bus.read_data),
            self.bus.read_valid.eq(host.bus.read_valid),
            dma.reset.eq(stop),
            # Also where write-back leaves a word out: that is known too late.
            dma.machine_writes.eq(parts["writeback"].valid),
            dma.machine_reads.eq(features.reads),
            sequencer.ended.eq(ended),
            sequencer.failed.eq(dma.error_0.any() | dma.error_1.any()),
            sequencer.moved.eq(ended.any() | parts["writeback"].valid),
        ]

    def connect_control(self, m: Module, sequencer: Sequencer, nests: dict[Nest, LoopNest]) -> None:
        """Settings and start of the nests; a run ends with the last step of its output's."""
        settings = sequencer.settings
        runs_where = {
            Nest.WEIGHT: settings.path == Path.ENGINE,
            Nest.RESIDUAL: settings.post.residual,
        }
        for nest, walker in nests.items():
            m.d.comb += [
                walker.settings.eq(settings[nest.name.lower()]),
                walker.start.eq(sequencer.start & runs_where.get(nest, 1)),
            ]
        m.d.comb += sequencer.done.eq(nests[Nest.OUTPUT].done)

    def connect_sums(self, m: Module, parts: dict, nests: dict[Nest, LoopNest]) -> None:
        """From the activations to the queue of finished sums, which cannot wait.

        So a vector is only taken while the queue has room for all that is under way.
        """
        settings, start = parts["sequencer"].settings, parts["sequencer"].start
        features, fetch, weights = parts["features"], parts["fetch"], parts["weights"]
        engine, pool, accumulator = parts["engine"], parts["pool"], parts["accumulator"]
        queue, vectors = parts["queue"], fetch.o
        # Registered: settings are stable before the start.
        engine_path, offered = Signal(), Signal()
        m.d.sync += engine_path.eq(settings.path == Path.ENGINE)
        wiring.connect(m, nests[Nest.ACTIVATION].o, fetch.i)
        wiring.connect(m, nests[Nest.SUM].o, accumulator.step)
        m.d.comb += [
            fetch.bounds.eq(settings.bounds),
            fetch.vector.eq(settings.vector),
            features.read.eq(fetch.read),
            features.index.eq(fetch.index),
            fetch.word.eq(features.word),
            offered.eq(vectors.valid & queue.room),
            vectors.ready.eq(queue.room & (engine.activations.ready | ~engine_path)),
            engine.settings.eq(settings.engine),
            engine.start.eq(start),
            *pass_address(nests[Nest.WEIGHT].o, weights.address),
            *pass_word(weights.word, engine.weights),
            engine.activations.valid.eq(offered & engine_path),
            pool.clear.eq(start),
            accumulator.bypass.eq(~engine_path),
            accumulator.passes.eq(settings.passes),
            accumulator.valid.eq(engine.valid | pool.valid),
            Value.cast(accumulator.sums).eq(Value.cast(engine.sums)),
            queue.write.eq(accumulator.o_valid),
            Value.cast(queue.data).eq(Value.cast(accumulator.o)),
        ]
        if self.architecture.external:
            m.d.comb += accumulator.continues.eq(settings.continues)
        if self.architecture.splits:
            split.connect_bypass(m, parts, engine_path, offered)
            return
        m.d.comb += [
            engine.activations.payload.eq(vectors.p.codes),
            pool.valid.eq(offered & ~engine_path),
            pool.start.eq(accumulator.first),
            pool.signed.eq(settings.signed),
            pool.inside.eq(vectors.p.inside),
            *(own.eq(codes[0]) for own, codes in zip(pool.codes, vectors.p.codes)),
            Value.cast(accumulator.bypassed).eq(Value.cast(pool.largest)),
        ]

    def connect_codes(self, m: Module, parts: dict, nests: dict[Nest, LoopNest]) -> None:
        """From the queue through post-processing and back to the features."""
        settings, features = parts["sequencer"].settings, parts["features"]
        post, writeback, parameters = parts["post"], parts["writeback"], parts["parameters"]
        wiring.connect(m, parts["queue"].o, post.i)
        wiring.connect(m, nests[Nest.OUTPUT].o, writeback.step)
        m.d.comb += [
            post.settings.eq(settings.post),
            *pass_address(nests[Nest.PARAMETER].o, parameters.address),
            *pass_word(parameters.word, post.parameters),
            *pass_address(nests[Nest.RESIDUAL].o, features.residual_address),
            *pass_word(features.residual, post.residual),
            writeback.members.eq(settings.members),
            writeback.valid.eq(post.valid),
            features.write_address.eq(writeback.address),
            features.write_data.eq(post.o),
        ]
        if self.architecture.splits:
            split.connect_post(m, parts, nests)
        else:
            m.d.comb += features.write.eq(writeback.write)


def pass_address(step, address) -> list:
    """Statements that take a stream of addresses out of a nest's words."""
    return [
        address.valid.eq(step.valid),
        address.payload.eq(step.p.address),
        step.ready.eq(address.ready),
    ]


def pass_word(source, sink) -> list:
    """Statements that pass a stream of plain words on to one of a layout."""
    return [
        sink.valid.eq(source.valid),
        Value.cast(sink.payload).eq(source.payload),
        source.ready.eq(sink.ready),
    ]
