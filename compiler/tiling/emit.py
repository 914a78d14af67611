"""A schedule as a program: instructions, transfers and what waits for them."""

from dataclasses import dataclass, field

import numpy as np

from compiler.tiling.chunks import Chunks, Mapped, TileEmitter
from compiler.tiling.schedule import Chunk, Fetch, Schedule
from compiler.tiling.tasks import Task
from compiler.tiling.transfers import Buffer, ExternalMap, Transfer, halves, word_beats
from rtl.architecture import Architecture
from rtl.isa import Opcode
from rtl.registers import Region

__all__ = ["CHANNELS", "Drain", "Move", "TiledProgram", "Wait", "emit"]

CHANNELS = 2
LAG = 8
"""Stores of tasks longer ago have ended: what the schedule forgets, it need not wait for."""


@dataclass(frozen=True)
class Move:
    """Give a channel a transfer."""

    channel: int
    transfer: Transfer


@dataclass(frozen=True)
class Wait:
    """Go on when a channel has ended so many transfers."""

    channel: int
    count: int


@dataclass(frozen=True)
class Drain:
    """Go on when all runs have ended."""


Command = int | Move | Wait | Drain
"""An instruction as its word, or what has to do with external memory."""


@dataclass
class TiledProgram:
    """Commands in order, and what external memory holds before.

    Parameters
    ----------
    commands : list of Command
    weights : uint32 [beats, 2]
        The buffer of weights and parameters.
    ends : list of int
        Commands before the end of each task.
    """

    commands: list[Command]
    weights: np.ndarray
    ends: list[int] = field(default_factory=list)


class Writer:
    """Commands, with the transfers of each channel counted."""

    def __init__(self, emitter: TileEmitter, beats: dict[Region, int]) -> None:
        self.emitter = emitter
        self.beats = beats
        self.commands: list[Command] = []
        self.sent = [0] * CHANNELS
        self.load = [0] * CHANNELS
        self.seen = [0] * CHANNELS

    def instructions(self) -> None:
        """Take over what the emitter has made."""
        self.commands.extend(self.emitter.instructions)
        self.emitter.instructions.clear()

    def move(self, transfer: Transfer) -> None:
        """A transfer, on both channels where it is worth it."""
        beats = self.beats[transfer.region]
        for part in halves(transfer, beats):
            channel = min(range(CHANNELS), key=self.load.__getitem__)
            self.load[channel] += part.rows * part.words * beats
            self.commands.append(Move(channel, part))
            self.sent[channel] += 1

    @property
    def token(self) -> tuple[int, ...]:
        """Transfers so far, of each channel."""
        return tuple(self.sent)

    def wait(self, token: tuple[int, ...]) -> None:
        """Wait for transfers that were counted by :attr:`token`, unless something has before."""
        for channel, count in enumerate(token):
            if count > self.seen[channel]:
                self.commands.append(Wait(channel, count))
                self.seen[channel] = count


def emit(
    architecture: Architecture,
    tasks: list[Task],
    plan: Schedule,
    chunks: Chunks,
    mapper: Mapped,
    external: ExternalMap,
) -> TiledProgram:
    """The program of a schedule."""
    bits = {
        Region.FEATURES: architecture.lanes * architecture.activation_bits,
        Region.WEIGHTS: architecture.engine_config.weight_bits,
        Region.PARAMETERS: architecture.parameter_bits,
    }
    beats = {region: word_beats(width) for region, width in bits.items()}
    emitter = TileEmitter(architecture)
    writer = Writer(emitter, beats)
    image, offsets = images(chunks, beats)
    stored: dict[int, tuple[int, ...]] = {}
    fetched: dict[int, list[tuple[int, ...]]] = {}
    ends = []

    def fetch(what: Fetch) -> None:
        for task in what.after:
            writer.wait(stored[task])
        if isinstance(what.what, Chunk):
            region, number = what.region, what.what.number
            offset = offsets[region, number]
            writer.move(
                Transfer(False, region, Buffer.WEIGHTS, offset, what.address, what.what.words)
            )
        else:
            for transfer in external.transfers(what.what, what.address, store=False):
                writer.move(transfer)
        fetched.setdefault(what.first, []).append(writer.token)

    for number, slot in enumerate(plan.slots):
        if slot.drain:
            writer.instructions()
            writer.commands.append(Drain())
        for task in slot.stores:
            for transfer in external.transfers(tasks[task].output, plan.outputs[task], store=True):
                writer.move(transfer)
            stored[task] = writer.token
        for each in slot.fetches:
            fetch(each)
        if number == len(tasks):
            break
        writer.wait(stored.get(number - LAG, ()))
        for task in sorted(slot.after):
            writer.wait(stored[task])
        for token in fetched.pop(number, []):
            writer.wait(token)
        emitter.places = plan.chunks[number]
        mapper.shape = tasks[number].shape
        emitter.tile(tasks[number], plan.inputs[number], plan.outputs[number], mapper)
        writer.instructions()
        ends.append(len(writer.commands))
    writer.wait(writer.token)
    emitter.append(Opcode.HALT, {})
    writer.instructions()
    return TiledProgram(writer.commands, image, ends)


def images(
    chunks: Chunks, beats: dict[Region, int]
) -> tuple[np.ndarray, dict[tuple[Region, int], int]]:
    """All chunks one after another, and the first beat of each."""
    parts, offsets, at = [], {}, 0
    for region, contents in chunks.images.items():
        for number, words in enumerate(contents):
            padded = np.zeros((len(words), 2 * beats[region]), np.uint32)
            padded[:] = words[:, : padded.shape[1]]
            offsets[region, number] = at
            parts.append(padded.reshape(-1, 2))
            at += len(words) * beats[region]
    return np.concatenate([np.zeros((0, 2), np.uint32), *parts]), offsets
