"""A machine with two memories at its ports, for Amaranth's simulator, and a host that drives it."""

import numpy as np

from compiler.program import Program
from compiler.tiling.emit import word_bits
from compiler.tiling.transfers import word_beats
from rtl.accelerator import Accelerator
from rtl.dma.registers import BEAT, BUFFERS, DMA_REGION, Buffer, ChannelRegister, channel_address
from rtl.registers import REGION_SHIFT, Control, Error, Region, Register, State
from sim.bench import Bench
from tests.rtl.axi.memory import AxiMemory

__all__ = ["ExternalBench"]

BASES = {Buffer.PROGRAM: 1 << 20, Buffer.WEIGHTS: 2 << 20, Buffer.FEATURES: 3 << 20}
CHANNELS = DMA_REGION << REGION_SHIFT
POLL = 40


class ExternalBench:
    """A program of a machine with external memory.

    Parameters
    ----------
    program : Program
    latency, stall : of the memories, see :class:`AxiMemory`
    errors : dict of beat address to response
    """

    def __init__(self, program: Program, latency=10, stall=0.0, errors=None, seed=0) -> None:
        self.program = program
        self.dut = Accelerator(program.architecture)
        self.bench = Bench(self.dut)
        self.beats: dict[int, int] = {}
        arch = program.architecture
        self.feature_beats = word_beats(word_bits(arch)[Region.FEATURES])
        self.sizes = {
            Buffer.PROGRAM: len(program.instructions),
            Buffer.WEIGHTS: max(1, len(program.external)),
            Buffer.FEATURES: program.external_words * self.feature_beats,
        }
        self.memories = [
            AxiMemory(
                getattr(self.dut, f"axi_{n}"),
                arch.channels.axi,
                self.beats,
                latency=latency,
                stall=stall,
                errors=errors,
                seed=seed + n,
            )
            for n in range(2)
        ]
        self.put(Buffer.WEIGHTS, 0, program.external)
        self.replace(program)

    def replace(self, program: Program) -> None:
        """Another program of the same weights and tensors."""
        self.program = program
        self.put(Buffer.PROGRAM, 0, program.instructions.astype("<u8").view("<u4").reshape(-1, 2))

    def put(self, buffer: int, first: int, beats: np.ndarray) -> None:
        """Beats, as pairs of 32 bits, from one of a buffer on."""
        start = BASES[buffer] // BEAT + first
        for number, (low, high) in enumerate(np.asarray(beats, np.uint32).tolist()):
            self.beats[start + number] = low | high << 32

    def put_input(self, codes: np.ndarray) -> None:
        """An image (channels, height, width)."""
        tensor, bits = self.program.input, self.program.architecture.activation_bits
        words = tensor.to_words(codes[None], bits)[0]
        padded = np.zeros((len(words), 2 * self.feature_beats), np.uint32)
        padded[:, : words.shape[1]] = words
        first = tensor.address * self.feature_beats
        self.put(Buffer.FEATURES, first, padded.reshape(-1, 2))

    def take(self, tensor) -> np.ndarray:
        """Codes (channels, height, width) of a tensor."""
        start = BASES[Buffer.FEATURES] // BEAT + tensor.address * self.feature_beats
        found = [self.beats.get(start + n, 0) for n in range(tensor.words * self.feature_beats)]
        words = np.array([(beat & 0xFFFFFFFF, beat >> 32) for beat in found], np.uint32)
        bits = self.program.architecture.activation_bits
        return tensor.from_words(words.reshape(1, tensor.words, -1), bits)[0]

    async def write(self, ctx, address: int, value: int) -> None:
        bus = self.dut.bus
        ctx.set(bus.address, address)
        ctx.set(bus.write_data, value)
        ctx.set(bus.write, 1)
        await ctx.tick()
        ctx.set(bus.write, 0)

    async def read(self, ctx, address: int) -> int:
        bus = self.dut.bus
        ctx.set(bus.address, address)
        ctx.set(bus.read, 1)
        await ctx.tick()
        ctx.set(bus.read, 0)
        while True:
            *_, valid, value = await ctx.tick().sample(bus.read_valid, bus.read_data)
            if valid:
                return value

    async def load(self, ctx) -> None:
        """Buffers, and the instructions that the memory holds at the start."""
        for buffer, size in self.sizes.items():
            await self.write(ctx, CHANNELS + BUFFERS + 2 * buffer, BASES[buffer])
            await self.write(ctx, CHANNELS + BUFFERS + 2 * buffer + 1, size * BEAT)
        held = self.program.architecture.memory.instruction_words
        base = Region.INSTRUCTIONS << REGION_SHIFT
        for number, word in enumerate(self.program.instructions[:held].tolist()):
            await self.write(ctx, base + 2 * number, word & 0xFFFFFFFF)
            await self.write(ctx, base + 2 * number + 1, word >> 32)

    async def wait(self, ctx) -> tuple[State, Error]:
        """Until the machine does not run any more."""
        while True:
            await ctx.tick().repeat(POLL)
            status = await self.read(ctx, Register.STATUS)
            if status & 0xFF != State.RUNNING:
                return State(status & 0xFF), Error(status >> 8 & 0xFF)

    async def quiet(self, ctx) -> None:
        """Until both channels are idle."""
        for n in range(2):
            address = CHANNELS + channel_address(n, ChannelRegister.STATUS)
            while not await self.read(ctx, address) & 1:
                pass

    async def start(self, ctx) -> None:
        await self.write(ctx, Register.CONTROL, Control.START)

    def run(self, main) -> None:
        """A testbench that drives the host's side; the memories stop when it ends."""

        async def whole(ctx):
            await main(ctx)
            for memory in self.memories:
                memory.stopped = True

        self.bench.run(whole, *(memory.run for memory in self.memories))
