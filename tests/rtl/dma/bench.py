"""A channel between an external memory and memories of a machine, for Amaranth's simulator."""

import random

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from rtl.axi.signatures import AxiConfig
from rtl.dma.channel import COUNTERS, DmaChannel
from rtl.dma.registers import TransferError
from rtl.dma.transfer import DmaConfig
from rtl.dma.walk import words_of
from rtl.dma.words import beats_of, word_from
from rtl.registers import Region
from sim.bench import Bench
from tests.rtl.axi.memory import AxiMemory

__all__ = ["ChannelBench", "config", "random_transfers", "transfer"]


def config(
    bits=(64, 24, 200, 128), words=(64, 300, 16, 512), burst=16, outstanding=4, **axi
) -> DmaConfig:
    """A channel's config with small memories."""
    regions = (Region.INSTRUCTIONS, Region.WEIGHTS, Region.PARAMETERS, Region.FEATURES)
    return DmaConfig(
        AxiConfig(burst=burst, outstanding=outstanding, **axi),
        tuple(zip(regions, words, bits)),
        buffers=4,
    )


def transfer(region=Region.FEATURES, words=1, rows=1, **fields) -> dict:
    """A transfer; what is not named is 0, but strides: rows follow one another."""
    named = {"store": 0, "base": 0, "offset": 0, "address": 0, **fields}
    named.setdefault("address_stride", words)
    named.setdefault("memory_stride", 0)
    return named | {"region": int(region), "words": words, "rows": rows}


def random_transfers(config: DmaConfig, sizes, count, seed=0) -> list[dict]:
    """Transfers inside buffers of ``sizes`` beats, of all regions and both directions."""
    generator = random.Random(seed)
    found = []
    while len(found) < count:
        region, depth, bits = generator.choice(config.regions)
        base = generator.randrange(len(sizes))
        beats = config.beats(bits)
        words, rows = generator.randint(1, 12), generator.choice((1, 1, 2, 5))
        row = words * beats
        stride = row + generator.randint(0, 9) if rows > 1 else generator.randrange(1 << 24)
        step = words + generator.randint(0, 3) if rows > 1 else generator.randrange(1 << 24)
        room = sizes[base] - (rows - 1) * stride - row
        space = depth - (rows - 1) * step - words
        if (rows > 1 and min(room, space) < 0) or sizes[base] < row or depth < words:
            continue
        room, space = (sizes[base] - row, depth - words) if rows == 1 else (room, space)
        found.append(
            {
                "store": int(region is Region.FEATURES and generator.random() < 0.5),
                "region": int(region),
                "base": base,
                # Both ends of buffer and region are met.
                "offset": generator.choice((0, room, generator.randint(0, room))),
                "address": generator.choice((0, space, generator.randint(0, space))),
                "words": words,
                "rows": rows,
                "memory_stride": stride,
                "address_stride": step,
            }
        )
    return found


class Channel(wiring.Component):
    """A channel with its table of buffers."""

    def __init__(self, config: DmaConfig, buffers) -> None:
        self.config, self.buffers = config, buffers
        self.channel = DmaChannel(config)
        outer = {
            name: member
            for name, member in self.channel.signature.members.items()
            if name not in ("index", "base", "size")
        }
        super().__init__(outer)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.channel = channel = self.channel
        bits = self.config.axi.beat_address_bits
        for name, column in (("base", 0), ("size", 1)):
            rows = [buffer[column] for buffer in self.buffers]
            m.submodules[name] = table = memory.Memory(shape=bits, depth=4, init=rows)
            port = table.read_port()
            m.d.comb += [port.addr.eq(channel.index), getattr(channel, name).eq(port.data)]
        for name, member in self.signature.members.items():
            outer, inner = getattr(self, name), getattr(channel, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            elif member.flow is Out:
                m.d.comb += outer.eq(inner)
            else:
                m.d.comb += inner.eq(outer)
        return m


class ChannelBench:
    """Runs transfers on a channel; what the memories hold is compared with :meth:`expect`.

    Parameters
    ----------
    config : DmaConfig
    buffers : list of (base, size) in beats
    machine_stall : float
        Share of cycles in which the machine's memories are taken.
    memory : arguments of AxiMemory
    """

    def __init__(self, config, buffers=((512, 4096),) * 4, machine_stall=0.0, seed=0, **memory):
        self.config, self.buffers = config, buffers
        self.random = random.Random(seed)
        self.machine_stall = machine_stall
        self.dut = Channel(config, buffers)
        self.bench = Bench(self.dut, limit=60_000)
        self.external = {
            base + n: self.random.getrandbits(config.axi.data_bits)
            for base, size in set(buffers)
            for n in range(min(size, 6000))
        }
        self.regions = {
            region: [self.random.getrandbits(bits) for _ in range(words)]
            for region, words, bits in config.regions
        }
        self.expected = (dict(self.external), {k: list(v) for k, v in self.regions.items()})
        self.memory = AxiMemory(self.dut.axi, config.axi, self.external, seed=seed, **memory)
        self.ended = self.bench.watch(self.dut.ended)
        self.written = 0

    def expect(self, transfers) -> None:
        """Do transfers on the expected contents."""
        external, regions = self.expected
        width = self.config.axi.data_bits
        for t in transfers:
            region = Region(t["region"])
            bits = self.config.bits_of(region)
            beats = self.config.beats(bits)
            addresses = words_of(t["address"], t["words"], t["rows"], t["address_stride"])
            first = self.buffers[t["base"]][0] + t["offset"]
            for n, address in enumerate(addresses):
                row, column = divmod(n, t["words"])
                at = first + row * t["memory_stride"] + column * beats
                if t["store"]:
                    for k, beat in enumerate(beats_of(regions[region][address], bits, width)):
                        external[at + k] = beat
                else:
                    held = [external.get(at + k, 0) for k in range(beats)]
                    regions[region][address] = word_from(held, bits, width)

    def check(self) -> None:
        """Whether both memories hold what is expected."""
        assert self.regions == self.expected[1]
        assert self.external == self.expected[0]

    async def machine(self, ctx) -> None:
        """The machine's memories, now and then taken by the machine."""
        dut, features = self.dut, self.regions[Region.FEATURES]
        ready = [0, 0]
        while not self.memory.stopped:
            now = [int(self.random.random() >= self.machine_stall) for _ in ready]
            if now != ready:
                ctx.set(dut.write.ready, now[0])
                ctx.set(dut.read.ready, now[1])
                ready = now
            _, _, valid, word, read, address = await ctx.tick().sample(
                dut.write.valid, dut.write.payload, dut.read.valid, dut.read.payload
            )
            word_to_read = self.random.getrandbits(8)
            if read and ready[1]:
                word_to_read = features[address]
            ctx.set(dut.read_data, word_to_read)
            if valid and ready[0]:
                region = self.config.regions[int(word.to).bit_length() - 1][0]
                mask = (1 << self.config.bits_of(region)) - 1
                self.regions[region][word.address] = int(word.data) & mask
                self.written += 1

    async def send(self, ctx, transfers) -> None:
        """Hand transfers to the channel."""
        await self.bench.send(ctx, self.dut.transfer, transfers)

    async def until(self, ctx, condition) -> None:
        """Wait for a signal to be high."""
        while not ctx.get(condition):
            await ctx.tick()

    async def reset(self, ctx) -> None:
        """Reset the channel and wait until it is idle."""
        ctx.set(self.dut.reset, 1)
        await ctx.tick()
        ctx.set(self.dut.reset, 0)
        await self.until(ctx, self.dut.idle)

    def counters(self, ctx) -> dict[str, int]:
        """The channel's counters."""
        return {name: ctx.get(getattr(self.dut, name)) for name in COUNTERS}

    def run(self, main) -> None:
        """Run ``main(ctx)`` with both memories; they stop when it ends."""

        async def whole(ctx) -> None:
            try:
                await main(ctx)
            finally:
                self.memory.stopped = True

        self.bench.run(whole, self.memory.run, self.machine)

    def work(self, transfers) -> TransferError:
        """Run transfers until the channel is idle or has failed; the error."""
        errors = []

        async def main(ctx) -> None:
            await self.send(ctx, transfers)
            # The queue tells a transfer two cycles after it was taken.
            await ctx.tick().repeat(3)
            while not ctx.get(self.dut.idle) and not ctx.get(self.dut.error):
                await ctx.tick()
            errors.append(TransferError(ctx.get(self.dut.error)))

        self.run(main)
        return errors[0]
