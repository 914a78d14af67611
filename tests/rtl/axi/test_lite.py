import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import AxiLite, Response
from rtl.host import HostPort
from rtl.isa import VERSION
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, Region, Register
from rtl.store import Store
from sim.bench import Bench

FINGERPRINT = 0x12345678


class Peripheral(wiring.Component):
    """A host port with one memory, behind the slave."""

    axi: In(AxiLite(LiteSlave.address_bits))

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = self.slave = LiteSlave()
        store = Store(64, 16)
        m.submodules.store = store
        m.submodules.port = port = HostPort({Region.FEATURES: (4, 64)}, FINGERPRINT)
        wiring.connect(m, wiring.flipped(self.axi), self.slave.axi)
        wiring.connect(m, self.slave.bus, port.bus)
        wiring.connect(m, port.features, store.host)
        return m


class Master:
    """Accesses with random waits before addresses, data and responses."""

    def __init__(self, ctx, axi, stall=0.0, seed=0):
        self.ctx, self.axi, self.stall, self.random = ctx, axi, stall, random.Random(seed)

    async def offer(self, channel, **fields):
        ctx, axi = self.ctx, self.axi
        while self.random.random() < self.stall:
            await ctx.tick()
        for name, value in fields.items():
            ctx.set(getattr(axi, name), value)
        ctx.set(getattr(axi, f"{channel}valid"), 1)
        ready = False
        while not ready:
            *_, ready = await ctx.tick().sample(getattr(axi, f"{channel}ready"))
        ctx.set(getattr(axi, f"{channel}valid"), 0)

    async def take(self, channel, *fields):
        ctx, axi = self.ctx, self.axi
        cycles, held = 0, None
        while True:
            ready = self.random.random() >= self.stall
            ctx.set(getattr(axi, f"{channel}ready"), int(ready))
            _, _, valid, *values = await ctx.tick().sample(
                getattr(axi, f"{channel}valid"), *(getattr(axi, name) for name in fields)
            )
            assert held is None or (valid and values == held), "a response changed"
            held = values if valid else None
            cycles += 1
            if valid and ready:
                ctx.set(getattr(axi, f"{channel}ready"), 0)
                return values, cycles


def together(dut, writes, reads, stall, seed=0):
    """Testbenches of the five channels; what they gave."""
    responses, answers = [], []
    axi = dut.axi

    async def addresses(ctx):
        master = Master(ctx, axi, stall, seed)
        for address, _, _ in writes:
            await master.offer("aw", awaddr=address)

    async def data(ctx):
        master = Master(ctx, axi, stall, seed + 1)
        for _, value, strobes in writes:
            await master.offer("w", wdata=value, wstrb=strobes)

    async def response(ctx):
        master = Master(ctx, axi, stall, seed + 2)
        for _ in writes:
            (code,), _ = await master.take("b", "bresp")
            responses.append(code)

    async def read_addresses(ctx):
        master = Master(ctx, axi, stall, seed + 3)
        for address in reads:
            await master.offer("ar", araddr=address)

    async def answer(ctx):
        master = Master(ctx, axi, stall, seed + 4)
        for _ in reads:
            values, _ = await master.take("r", "rdata", "rresp")
            answers.append(tuple(values))

    return (addresses, data, response, read_addresses, answer), responses, answers


def base(region):
    return region << REGION_SHIFT + 2


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_memory_through_the_bus(stall):
    dut = Peripheral()
    generator = random.Random(1)
    words = [generator.getrandbits(32) for _ in range(16 * pieces(64))]
    writes = [(base(Region.FEATURES) + 4 * n, word, 0xF) for n, word in enumerate(words)]
    benches, responses, _ = together(dut, writes, [], stall)
    # The lowest bits of an address have no meaning.
    reads = [base(Region.FEATURES) + 4 * n + n % 4 for n in range(len(words))]
    readers, _, answers = together(dut, [], reads, stall, seed=9)

    def afterwards(bench):
        async def testbench(ctx):
            while len(responses) < len(writes):
                await ctx.tick()
            await bench(ctx)

        return testbench

    Bench(dut).run(*benches[:3], *map(afterwards, readers[3:]))
    assert responses == [Response.OKAY] * len(words)
    assert answers == [(word, Response.OKAY) for word in words]


@pytest.mark.parametrize("strobes", range(16))
def test_a_write_needs_all_strobes(strobes):
    dut = Peripheral()
    place = 4 * Register.STOP_AFTER
    writes = [(place, 0x11223344, 0xF), (place, 0xAABBCCDD, strobes)]
    benches, responses, _ = together(dut, writes, [], 0.0)
    seen = []

    async def read(ctx):
        while len(responses) < 2:
            await ctx.tick()
        master = Master(ctx, dut.axi)
        await master.offer("ar", araddr=place)
        seen.append((await master.take("r", "rdata"))[0][0])

    Bench(dut).run(*benches[:3], read)
    whole = strobes == 0xF
    assert responses == [Response.OKAY, Response.OKAY if whole else Response.SLVERR]
    assert seen == [0xAABBCCDD if whole else 0x11223344]


def test_latency():
    dut = Peripheral()
    bench = Bench(dut)
    cycles = {}

    async def testbench(ctx):
        master = Master(ctx, dut.axi)
        begin = ctx.get(bench.cycle)
        await master.offer("ar", araddr=4 * Register.ID)
        (value,), _ = await master.take("r", "rdata")
        cycles["read"] = ctx.get(bench.cycle) - begin - 1
        assert value == ID
        for name in ("awaddr", "wdata"):
            ctx.set(getattr(dut.axi, name), 4 * Register.STOP_AFTER)
        for name, value in (("awvalid", 1), ("wvalid", 1), ("wstrb", 15)):
            ctx.set(getattr(dut.axi, name), value)
        begin = ctx.get(bench.cycle)
        while not ctx.get(dut.axi.bvalid):
            await ctx.tick()
        cycles["write"] = ctx.get(bench.cycle) - begin

    bench.run(testbench)
    assert cycles == {"read": HostPort.read_latency + 3, "write": 2}


def test_reads_and_writes_take_turns():
    """Neither waits for ever while the other's requests do not end."""
    dut = Peripheral()
    count = 12
    writes = [(4 * Register.STOP_AFTER, n, 0xF) for n in range(count)]
    reads = [4 * Register.VERSION] * count
    benches, responses, answers = together(dut, writes, reads, 0.0)
    order = []

    async def watch(ctx):
        while len(order) < 2 * count:
            *_, wrote, read = await ctx.tick().sample(dut.axi.awready, dut.axi.arready)
            order.extend(["write"] * wrote + ["read"] * read)

    Bench(dut).run(*benches, watch)
    assert responses == [Response.OKAY] * count
    assert answers == [(VERSION, Response.OKAY)] * count
    assert order in (["write", "read"] * count, ["read", "write"] * count)


def test_conversion():
    rtlil.convert(LiteSlave())
