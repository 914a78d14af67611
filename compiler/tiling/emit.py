"""A schedule as a program: instructions, transfers and what waits for them."""

from dataclasses import dataclass

import numpy as np

from compiler.tiling.chunks import Chunks, Mapped, TileEmitter
from compiler.tiling.schedule import Chunk, Fetch, Schedule
from compiler.tiling.tasks import Task
from compiler.tiling.transfers import ExternalMap, Transfer, halves, word_beats
from rtl.architecture import Architecture
from rtl.dma.registers import Buffer
from rtl.isa import Opcode, Waited
from rtl.registers import Region

__all__ = ["CHANNELS", "TiledImages", "emit", "word_bits"]

CHANNELS = 2
LAG = 8
"""Stores of tasks longer ago have ended: what the schedule forgets, it need not wait for."""


@dataclass(frozen=True)
class TiledImages:
    """What becomes of a schedule.

    Parameters
    ----------
    instructions : list of int
        In one piece, however many a machine holds.
    weights : uint32 [beats, 2]
        The buffer of weights and parameters.
    runs : list of int
        Runs before the end of each task.
    passes : dict of int to float
        Of each layer.
    """

    instructions: list[int]
    weights: np.ndarray
    runs: list[int]
    passes: dict[int, float]


def word_bits(architecture: Architecture) -> dict[Region, int]:
    """Bits of a word of each memory that transfers reach."""
    return {
        Region.INSTRUCTIONS: 64,
        Region.FEATURES: architecture.lanes * architecture.activation_bits,
        Region.WEIGHTS: architecture.engine_config.weight_bits,
        Region.PARAMETERS: architecture.parameter_bits,
    }


class Writer:
    """Instructions that move and wait, with the transfers of each channel counted."""

    def __init__(self, emitter: TileEmitter, beats: dict[Region, int]) -> None:
        self.emitter = emitter
        self.beats = beats
        self.sent = [0] * CHANNELS
        self.load = [0] * CHANNELS
        self.seen = [0] * CHANNELS

    def move(self, transfer: Transfer) -> None:
        """A transfer, on both channels where it is worth it."""
        beats = self.beats[transfer.region]
        for part in halves(transfer, beats):
            channel = min(range(CHANNELS), key=self.load.__getitem__)
            self.load[channel] += part.rows * part.words * beats
            self.sent[channel] += 1
            self.emitter.set(Opcode.TARGET, buffer=part.buffer, offset=part.offset)
            self.emitter.set(
                Opcode.SHAPE,
                rows=part.rows,
                memory_stride=part.memory_stride,
                address_stride=part.address_stride,
            )
            self.emitter.append(
                Opcode.MOVE,
                {
                    "channel": channel,
                    "store": int(part.store),
                    "region": part.region,
                    "address": part.address,
                    "words": part.words,
                },
            )

    @property
    def token(self) -> tuple[int, ...]:
        """Transfers so far, of each channel."""
        return tuple(self.sent)

    def wait(self, token: tuple[int, ...]) -> None:
        """Wait for transfers that were counted by :attr:`token`, unless something has before."""
        for channel, count in enumerate(token):
            if count > self.seen[channel]:
                self.emitter.append(Opcode.WAIT, {"what": Waited(channel), "count": count})
                self.seen[channel] = count

    def drain(self) -> None:
        """Wait for all runs."""
        self.emitter.append(Opcode.WAIT, {"what": Waited.RUNS, "count": 0})


def emit(
    architecture: Architecture,
    tasks: list[Task],
    plan: Schedule,
    chunks: Chunks,
    mapper: Mapped,
    external: ExternalMap,
) -> TiledImages:
    """The program of a schedule."""
    beats = {region: word_beats(bits) for region, bits in word_bits(architecture).items()}
    emitter = TileEmitter(architecture)
    writer = Writer(emitter, beats)
    image, offsets = images(chunks, beats)
    stored: dict[int, tuple[int, ...]] = {}
    fetched: dict[int, list[tuple[int, ...]]] = {}
    runs = []
    last = {task.step.owner: number for number, task in enumerate(tasks)}

    def fetch(what: Fetch) -> None:
        for task in what.after:
            writer.wait(stored[task])
        if isinstance(what.what, Chunk):
            region, number = what.region, what.what.number
            offset = offsets[region, number] + what.what.skipped * beats[region]
            writer.move(
                Transfer(False, region, Buffer.WEIGHTS, offset, what.address, what.what.words)
            )
        else:
            for transfer in external.transfers(what.what, what.address, store=False):
                writer.move(transfer)
        fetched.setdefault(what.first, []).append(writer.token)

    for number, slot in enumerate(plan.slots):
        if slot.drain:
            for each in slot.early:
                fetch(each)
            writer.drain()
        for task in slot.stores:
            for transfer in external.transfers(tasks[task].output, plan.outputs[task], store=True):
                writer.move(transfer)
            stored[task] = writer.token
        for each in slot.fetches if slot.drain else (*slot.fetches, *slot.early):
            fetch(each)
        before = tasks[number - 1] if number else None
        # A joined layer is at work until the one that reads it ends.
        if before and not before.joined and last[before.step.owner] == number - 1:
            emitter.ended = before.step.owner
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
        runs.append(emitter.runs)
    writer.wait(writer.token)
    emitter.mark()
    emitter.append(Opcode.HALT, {})
    owners = {task.step.owner for task in tasks}
    passes = {owner: emitter.passes(owner) for owner in owners}
    return TiledImages(emitter.instructions, image, runs, passes)


def images(
    chunks: Chunks, beats: dict[Region, int]
) -> tuple[np.ndarray, dict[tuple[Region, int], int]]:
    """All chunks one after another, and the first beat of each."""
    parts, offsets, at = [], {}, 0
    for region, contents in chunks.images.items():
        for number, words in enumerate(contents):
            padded = np.zeros((len(words), 2 * beats[region]), np.uint32)
            held = min(padded.shape[1], words.shape[1])
            padded[:, :held] = words[:, :held]
            offsets[region, number] = at
            parts.append(padded.reshape(-1, 2))
            at += len(words) * beats[region]
    return np.concatenate([np.zeros((0, 2), np.uint32), *parts]), offsets
