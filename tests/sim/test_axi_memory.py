"""The memory at the ports of compiled simulations: as that of Amaranth's simulator, and more."""

import numpy as np
import pytest

from rtl.design import Design
from rtl.dma.registers import (
    BEAT,
    CHANNELS,
    DMA_REGION,
    BufferRegister,
    ChannelRegister,
    TransferError,
    TransferRegister,
    buffer_address,
    channel_address,
    start_word,
)
from rtl.registers import REGION_SHIFT, Region
from sim.axi_memory import BASE, VIOLATIONS, Access
from sim.bench import Bench
from sim.compiled import CompiledModel
from tests.rtl.axi.memory import AxiMemory
from tests.rtl.dma.system import SYSTEM, DmaMachine
from tests.sim.test_models import DESIGN

REGISTERS = DMA_REGION << REGION_SHIFT
BUFFER = 1 << 14
WORDS = 256
FEATURE_BEATS = 2

# Channel, store, rows, words of a row, beats from row to row, first beat, first word.
TRANSFERS = (
    (0, False, 1, 40, 0, 0, 0),
    (1, False, 5, 3, 9, 101, 100),
    (0, True, 3, 7, 20, 1003, 10),
    (1, False, 1, 33, 0, 333, 130),
    (0, True, 1, 1, 0, 1200, 20),
    (1, True, 1, 40, 0, 1501, 100),
    (0, False, 40, 1, 4, 700, 60),
)
PORTS = (
    {"latency": 0},
    {"latency": 1},
    {"latency": 23},
)


def pushes(transfers):
    """Addresses and words that the host writes: a buffer, and transfers of features."""
    yield buffer_address(0, BufferRegister.BASE), BASE
    yield buffer_address(0, BufferRegister.SIZE), BUFFER
    for channel, store, rows, words, stride, offset, address in transfers:
        yield TransferRegister.OFFSET, offset * BEAT
        yield TransferRegister.ADDRESS, address
        yield TransferRegister.SHAPE, words | rows << 16
        yield TransferRegister.MEMORY_STRIDE, stride * BEAT
        yield TransferRegister.ADDRESS_STRIDE, words
        start = start_word(0, Region.FEATURES, store)
        yield channel_address(channel, ChannelRegister.START), start


class Compiled:
    """A compiled machine, and its host."""

    def __init__(self) -> None:
        self.model = CompiledModel.build(Design(DmaMachine, (SYSTEM,), "dma_machine"))
        self.memory = self.model.memory
        self.clean()

    def clean(self, seed=0) -> None:
        """Another beginning: all is as after a start but the features."""
        self.model.reset()
        self.memory.allocate(BUFFER)
        self.memory.latency, self.memory.percent, self.memory.outstanding = 4, 100, 8
        self.memory.stall(0.0)
        content = np.random.default_rng(seed).integers(0, 256, BUFFER, np.uint8)
        self.memory.write(0, content)

    def push(self, transfers) -> None:
        for address, word in pushes(transfers):
            self.model.write(REGISTERS + address, np.array([word], np.uint32))

    def counters(self, channel) -> list[int]:
        """TRANSFERS, BUSY, BEATS and WAITS."""
        first = channel_address(channel, ChannelRegister.TRANSFERS)
        return self.model.read(REGISTERS + first, 4).tolist()

    def error(self, channel) -> TransferError:
        status = channel_address(channel, ChannelRegister.STATUS)
        return TransferError(int(self.model.read(REGISTERS + status, 1)[0]) >> 8 & 0xFF)

    def work(self, transfers, cycles=4000) -> list[list[int]]:
        """Push transfers, wait, and return the counters of each channel."""
        self.push(transfers)
        self.model.tick(cycles)
        return [self.counters(n) for n in range(CHANNELS)]


@pytest.fixture(scope="module")
def machine():
    return Compiled()


@pytest.fixture
def clean(machine):
    machine.clean()
    return machine


def interpreted(content, cases):
    """Counters of each case, and at last the external memory, in Amaranth's simulator."""
    dut = DmaMachine(SYSTEM)
    bench = Bench(dut, limit=100_000)
    beats = dict(enumerate(content.view("<u8").tolist(), BASE // BEAT))
    memories = [AxiMemory(getattr(dut, f"axi_{n}"), SYSTEM.axi, beats) for n in range(CHANNELS)]
    found = []

    async def write(ctx, address, word):
        ctx.set(dut.bus.address, REGISTERS + address)
        ctx.set(dut.bus.write_data, int(word))
        ctx.set(dut.bus.write, 1)
        await ctx.tick()
        ctx.set(dut.bus.write, 0)

    async def read(ctx, address):
        ctx.set(dut.bus.address, REGISTERS + address)
        ctx.set(dut.bus.read, 1)
        await ctx.tick()
        ctx.set(dut.bus.read, 0)
        while True:
            *_, valid, value = await ctx.tick().sample(dut.bus.read_valid, dut.bus.read_data)
            if valid:
                return value

    async def main(ctx):
        for case in cases:
            for memory in memories:
                memory.latency = case["latency"]
            for channel in range(CHANNELS):
                await write(ctx, channel_address(channel, ChannelRegister.RESET), 0)
            await ctx.tick().repeat(10)
            for address, word in pushes(TRANSFERS):
                await write(ctx, address, word)
            await ctx.tick().repeat(1000)
            rows = []
            for channel in range(CHANNELS):
                first = channel_address(channel, ChannelRegister.TRANSFERS)
                rows.append([await read(ctx, first + n) for n in range(4)])
            found.append(rows)
        for memory in memories:
            memory.stopped = True

    bench.run(main, *(memory.run for memory in memories))
    held = [beats[BASE // BEAT + n] for n in range(BUFFER // BEAT)]
    return found, np.array(held, "<u8").view(np.uint8)


def test_cycle_by_cycle_as_in_amaranths_simulator(clean):
    content = clean.memory.content.copy()
    expected, held = interpreted(content, PORTS)
    for case, counters in zip(PORTS, expected):
        clean.memory.latency = case["latency"]
        for channel in range(CHANNELS):
            reset = channel_address(channel, ChannelRegister.RESET)
            clean.model.write(REGISTERS + reset, np.zeros(1, np.uint32))
        clean.model.tick(10)
        assert clean.work(TRANSFERS, 1000) == counters
        assert [row[0] for row in counters] == [4, 3]
    assert np.array_equal(clean.memory.content, held) and not np.array_equal(content, held)
    assert clean.memory.violation is None and clean.memory.escapes == 0
    beats = [sum(row[n][2] for row in expected) for n in range(CHANNELS)]
    moved = zip(clean.memory.beats_read, clean.memory.beats_written)
    assert [read + written for read, written in moved] == beats


@pytest.mark.parametrize("percent", [25, 70, 100])
def test_a_share_of_the_beats_passes(clean, percent):
    clean.memory.percent = percent
    (_, busy, beats, _), other = clean.work([(0, False, 1, WORDS, 0, 0, 0)])
    assert beats == WORDS * FEATURE_BEATS and other == [0, 0, 0, 0]
    assert clean.memory.beats_read == (beats, 0) and clean.memory.beats_written == (0, 0)
    started = 30  # latency, and the beginning of a transfer
    assert 0 <= busy - beats * 100 / percent < started


def test_stalls_are_random_and_come_again(clean):
    found = {}
    contents = []
    for key in ((0.6, 1), (0.6, 1), (0.6, 2), (0.0, 1)):
        clean.clean()
        clean.memory.stall(*key)
        counters = clean.work(TRANSFERS)
        assert [row[0] for row in counters] == [4, 3]
        assert found.setdefault(key, counters) == counters
        contents.append(clean.memory.content.copy())
    assert found[0.6, 1] != found[0.6, 2] != found[0.0, 1]
    assert found[0.0, 1][0][1] * 1.3 < min(found[0.6, n][0][1] for n in (1, 2))
    assert clean.memory.violation is None


def test_contents_do_not_depend_on_stalls(clean):
    held = []
    for stall in (0.0, 0.7):
        clean.clean(seed=5)
        clean.memory.stall(stall)
        clean.work([(0, False, 1, 40, 0, 0, 0)])
        clean.work([(0, True, 1, 40, 0, 500, 0), (1, True, 4, 5, 16, 900, 3)])
        held.append(clean.memory.content.copy())
    assert np.array_equal(*held)
    beats = held[0].view("<u8")
    assert np.array_equal(beats[500:580], beats[:80])


def test_errors_at_addresses(clean):
    clean.memory.fail([8 * BEAT])
    (transfers, _, _, _), _ = clean.work([(0, False, 1, 8, 0, 0, 0), (1, False, 1, 3, 0, 0, 0)])
    assert transfers == 0
    assert [clean.error(n) for n in range(2)] == [TransferError.READ_SLVERR, TransferError.NONE]
    clean.clean()
    clean.memory.fail([8 * BEAT])
    clean.work([(1, True, 1, 8, 0, 0, 0)])
    assert clean.error(1) is TransferError.WRITE_SLVERR


def test_what_leaves_the_ranges_changes_nothing(clean):
    clean.memory.allow([(0, 1024), (2048, 1024)])
    before = clean.memory.content.copy()
    clean.work([(0, False, 1, 64, 0, 0, 0)])
    clean.work([(1, True, 1, 64, 0, 256, 0)])
    assert clean.memory.escapes == 0 and clean.memory.first_escape is None
    assert np.array_equal(clean.memory.content[2048:3072], before[:1024])
    # One burst of several lies behind a range's end.
    clean.work([(1, True, 1, 16, 0, 360, 0)])
    assert clean.error(1) is TransferError.WRITE_DECERR
    assert clean.memory.first_escape == Access(1, True, BASE + 3072)
    assert np.array_equal(clean.memory.content[3072:], before[3072:])
    clean.work([(0, False, 1, 1, 0, 128, 0)])
    assert clean.error(0) is TransferError.READ_DECERR
    assert clean.memory.escapes == 2 and clean.memory.first_escape.port == 1
    clean.memory.allow([(0, BUFFER)])
    assert clean.memory.escapes == 0 and clean.memory.beats_written == (0, 0)


def test_a_master_that_breaks_a_rule_is_told(clean):
    clean.memory.burst = 8
    clean.work([(1, False, 1, 64, 0, 0, 0)])
    assert clean.memory.violation == "port 1: a burst is longer than agreed"
    clean.memory.burst = 16
    clean.memory.forget()
    clean.work([(1, False, 1, 64, 0, 0, 0)])
    assert clean.memory.violation is None and len(set(VIOLATIONS)) == len(VIOLATIONS)


def test_a_reset_forgets_what_is_under_way(clean):
    clean.memory.latency = 500
    clean.push([(0, False, 1, 40, 0, 0, 0)])
    clean.model.tick(100)
    clean.model.reset()
    (transfers, *_), _ = clean.work([(0, False, 1, 40, 0, 0, 0)])
    assert transfers == 1 and clean.error(0) is TransferError.NONE


def test_what_a_host_writes_and_reads(clean):
    memory = clean.memory
    memory.write(16, np.arange(4, dtype="<u4").reshape(2, 2))
    assert memory.read(16, 16).view("<u4").tolist() == [0, 1, 2, 3]
    assert (memory.base, memory.size) == (BASE, BUFFER)
    for wrong in (
        lambda: memory.write(4, np.zeros(8, np.uint8)),
        lambda: memory.read(BUFFER, 8),
        lambda: memory.allow([(0, BUFFER + 8)]),
        lambda: memory.allocate(100),
        lambda: memory.stall(1.0),
        lambda: setattr(memory, "percent", 0),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_models_without_ports_have_no_memory():
    assert CompiledModel.build(DESIGN).memory is None
