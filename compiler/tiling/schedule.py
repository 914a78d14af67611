"""When each tile's operands come and go, and where they stand meanwhile.

Tasks run one after another, numbered from 0. Instructions are executed in order, and a ``RUN``
waits for the run before it: so what stands in front of the runs of task *r*, its *slot*, is
executed while task *r - 1* works and when all before it have ended. What a task needs is fetched in
slots up to ``AHEAD`` before its own, as early as there is room; weights piece by piece, where
channels have time (:mod:`~compiler.tiling.bandwidth`). What it made is stored in the slot after the
next. Where that does not go, because a task reads what the one before it makes or nothing
is free otherwise, a barrier lets everything end first.

Time counts in tasks: task *r* works from *r* to *r + 1*, so the slot *s* begins behind *s - 1*.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from compiler.prepare import Step
from compiler.tiling.bandwidth import Bandwidth
from compiler.tiling.space import Place, Space
from compiler.tiling.tasks import Operand, Task
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.registers import Region

__all__ = ["Chunk", "Fetch", "Schedule", "Slot", "Unfit", "schedule"]

AHEAD = {Region.FEATURES: 2, Region.WEIGHTS: 24, Region.PARAMETERS: 6}
"""How many slots before its task something is fetched at the earliest."""


@dataclass(frozen=True)
class Chunk:
    """Words of weights or parameters that tasks need.

    Parameters
    ----------
    region : Region
    number : int
        Chunks of the same contents have the same number.
    words : int
    skipped : int
        Words of the contents in front of them.
    """

    region: Region
    number: int
    words: int
    skipped: int = 0


@dataclass(frozen=True)
class Fetch:
    """Something that comes from external memory.

    Parameters
    ----------
    what : Operand or Chunk
    address : int
        Where it stands then.
    first, last : int
        Tasks that it is for.
    after : tuple of int
        Tasks whose output must have been stored before: because it is read, or because it stood
        where this is written.
    """

    what: Operand | Chunk
    address: int
    first: int
    last: int
    after: tuple[int, ...]

    @property
    def region(self) -> Region:
        """The memory."""
        return self.what.region if isinstance(self.what, Chunk) else Region.FEATURES


@dataclass
class Slot:
    """What stands in front of a task's runs.

    Parameters
    ----------
    early : list of Fetch
        Weights and parameters, for which there is room while the task before works.
    drain : bool
        Whether all runs before must have ended before what follows.
    stores : list of int
        Tasks whose output is stored.
    fetches : list of Fetch
    after : set of int
        Tasks whose output must have been stored before the task's runs write over it.
    """

    early: list[Fetch] = field(default_factory=list)
    drain: bool = False
    stores: list[int] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    after: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Schedule:
    """Slots of all tasks and one behind the last; and where operands stand.

    Parameters
    ----------
    slots : list of Slot
    inputs : list of tuple of int
        Addresses of each task's inputs.
    outputs : list of int
    chunks : list of dict of Region to int
        Addresses of each task's chunks.
    """

    slots: list[Slot]
    inputs: list[tuple[int, ...]]
    outputs: list[int]
    chunks: list[dict[Region, int]]


def schedule(
    architecture: Architecture,
    tasks: Sequence[Task],
    chunks: Sequence[Sequence[Chunk]],
    producers: Sequence[Sequence[int]],
    bandwidth: Bandwidth,
) -> Schedule:
    """Places and slots.

    Parameters
    ----------
    architecture : Architecture
    tasks : sequence of Task
    chunks : of each task
    producers : of each task, the tasks that make what it reads
    bandwidth : Bandwidth
        Of all slots; what is moved is taken from it.

    Errors: :class:`NoMulError` naming the layer that does not fit.
    """
    return Scheduler(architecture, tasks, chunks, producers, bandwidth).schedule()


Need = tuple[str, Operand | Chunk]
"""What a task needs, and as what."""


class Scheduler:
    """Gives out places task by task."""

    def __init__(
        self,
        architecture: Architecture,
        tasks: Sequence[Task],
        chunks: Sequence[Sequence[Chunk]],
        producers: Sequence[Sequence[int]],
        bandwidth: Bandwidth,
    ) -> None:
        memory = architecture.memory
        self.spaces = {
            Region.FEATURES: Space(memory.feature_words),
            Region.WEIGHTS: Space(memory.weight_words),
            Region.PARAMETERS: Space(memory.parameter_words),
        }
        self.tasks = tasks
        self.producers = producers
        self.bandwidth = bandwidth
        self.needs: list[list[Need]] = [
            [
                *(() if self.on_chip(number) else zip(("input", "residual"), task.inputs)),
                *((chunk.region.name, chunk) for chunk in own),
            ]
            for number, (task, own) in enumerate(zip(tasks, chunks, strict=True))
        ]
        # What a step's operands get on chip: as much as the largest tile, since gaps serve nobody.
        self.room: dict[tuple[int, str], int] = {}
        for task, needs in zip(tasks, self.needs):
            for role, what in (*needs, ("output", task.output)):
                key = id(task.step), role
                self.room[key] = max(self.room.get(key, 0), what.words)
        # Weights and parameters stand at either end of their memory in turn: so gaps are fewer.
        self.top = dict.fromkeys(self.spaces, False)
        self.slots = [Slot() for _ in range(len(tasks) + 1)]
        self.addresses: list[int] = []  # of outputs
        self.stored = 0  # tasks whose output is stored by now

    def on_chip(self, number: int) -> bool:
        """Whether a task reads what the one before it leaves on chip."""
        return number > 0 and self.tasks[number - 1].joined

    def schedule(self) -> Schedule:
        """All tasks in turn."""
        held: dict[tuple, Fetch] = {}
        inputs, chunks = [], []
        for number in range(len(self.tasks)):
            for space in self.spaces.values():
                space.forget(number - 1 - max(AHEAD.values()))
            self.store(number, number - 1)
            newest = max(self.producers[number], default=-1)
            if newest + 2 > number:
                self.barrier(number)
            held = {key: fetch for key, fetch in held.items() if fetch.last >= number}
            fetched = []
            for role, what in self.needs[number]:
                key = role, key_of(what)
                held[key] = held.get(key) or self.fetch(number, role, what)
                fetched.append(held[key])
            operands = [fetch for fetch in fetched if not isinstance(fetch.what, Chunk)]
            inputs.append(
                (self.addresses[-1],)
                if self.on_chip(number)
                else tuple(fetch.address for fetch in operands)
            )
            chunks.append({fetch.region: fetch.address for fetch in fetched[len(operands) :]})
            self.addresses.append(self.output(number))
        self.barrier(len(self.tasks))
        return Schedule(self.slots, inputs, self.addresses, chunks)

    def store(self, number: int, end: int) -> None:
        """In a slot, the outputs of all tasks before ``end`` that are not stored yet."""
        for task in range(self.stored, end):
            if self.tasks[task].makes and not self.tasks[task].joined:
                self.slots[number].stores.append(task)
                self.bandwidth.move(number, Region.FEATURES, self.tasks[task].output.words)
        self.stored = max(self.stored, end)

    def barrier(self, number: int) -> None:
        """All runs before a task end first, and all that they made is stored."""
        self.slots[number].drain = True
        self.store(number, number)
        self.spaces[Region.FEATURES].end(number)

    def fetch(self, number: int, role: str, what: Operand | Chunk) -> Fetch:
        """Fetch something from the earliest slot on with room for it, else behind a barrier."""
        chunk = isinstance(what, Chunk)
        region = what.region if isinstance(what, Chunk) else Region.FEATURES
        words = self.room[id(self.tasks[number].step), role]
        made_by = () if chunk else self.producers[number]
        last = self.last_use(number, role, what)
        earliest = max(number - AHEAD[region], 0, *(maker + 2 for maker in made_by), 0)
        for at in range(min(earliest, number), number + 1):
            drained = (at,) if self.slots[at].drain else ()
            # In a slot with a barrier features come behind it, weights if they must.
            for begin in drained if drained and not chunk else (at - 1, *drained):
                found = self.place(region, what, words, begin, number, last, made_by)
                if found:
                    self.divide(found, at, begin < at)
                    return found
        self.barrier(number)
        found = self.place(region, what, words, number, number, last, made_by)
        if found is None:
            raise self.unfit(number, region, words)
        self.divide(found, number, early=False)
        return found

    def divide(self, fetch: Fetch, first: int, early: bool) -> None:
        """Put a fetch into its first slot, or pieces of it into several.

        ``early``: whether it need not wait for a barrier in its first slot.
        """
        what = fetch.what
        if not isinstance(what, Chunk):
            self.slots[first].fetches.append(fetch)
            self.bandwidth.move(first, Region.FEATURES, what.words)
            return
        skipped = 0
        end = max(fetch.first, first + 1)
        for slot, words in self.bandwidth.divide(what.region, what.words, first, end):
            piece = replace(what, words=words, skipped=skipped)
            own = self.slots[slot]
            (own.early if early or slot > first else own.fetches).append(
                replace(fetch, what=piece, address=fetch.address + skipped)
            )
            skipped += words

    def place(
        self, region: Region, what, words: int, begin: int, first: int, last: int, made_by
    ) -> Fetch | None:
        """A fetch with a place from ``begin`` until its last task has ended, if there is one."""
        space = self.spaces[region]
        address = space.find(words, begin, last + 1, top=self.top[region])
        if address is None:
            return None
        if region is not Region.FEATURES:
            self.top[region] = not self.top[region]
        place = space.take(Place(address, words, begin, last + 1))
        after = {*space.owners_before(place), *made_by}
        return Fetch(what, address, first, last, tuple(sorted(after)))

    def output(self, number: int) -> int:
        """Where a task's output stands until it is stored, or until the next task has read it.

        0 for a slice that only adds to sums.
        """
        if not self.tasks[number].makes:
            return 0
        space = self.spaces[Region.FEATURES]
        joined = self.tasks[number].joined
        words = self.room[id(self.tasks[number].step), "output"]
        # With room for three outputs there is a task's time more for the store.
        for end in (number + 3, number + 2) if self.is_wide(number) else (number + 2,):
            address = space.find(words, number, end, top=True)
            if address is not None:
                break
        else:
            self.barrier(number)
            end = number + 2
            address = space.find(words, number, end, top=True)
            if address is None:
                raise self.unfit(number, Region.FEATURES, words)
        place = space.take(Place(address, words, number, end, None if joined else number))
        self.slots[number].after |= space.owners_before(place)
        return address

    def is_wide(self, number: int) -> bool:
        """Whether there is room for three outputs of a task's step besides its inputs.

        Behind a joined task there are two, one of which is its output.
        """
        if self.on_chip(number):
            return True
        step = id(self.tasks[number].step)
        inputs = self.room.get((step, "input"), 0) + self.room.get((step, "residual"), 0)
        return 2 * inputs + 3 * self.room[step, "output"] <= self.spaces[Region.FEATURES].words

    def last_use(self, number: int, role: str, what: Operand | Chunk) -> int:
        """The last task that needs the same without two in a row that do not."""
        key, last = (role, key_of(what)), number
        for other in range(number + 1, len(self.tasks)):
            if other > last + 2:
                break
            if any((own, key_of(thing)) == key for own, thing in self.needs[other]):
                last = other
        return last

    def unfit(self, number: int, region: Region, words: int) -> "Unfit":
        """There is no room for a task."""
        return Unfit(self.tasks[number].step, region, words)


class Unfit(NoMulError):
    """There is no room for the tiles of a step."""

    def __init__(self, step: Step, region: Region, words: int) -> None:
        self.step = step
        memory = region.name.lower()
        super().__init__(
            f"layer {step.layer.name}: no room for {words} words of a tile in the {memory}; raise "
            f"{memory[:-1]}_words"
        )


def key_of(what: Operand | Chunk) -> tuple:
    """What is the same has the same key."""
    if isinstance(what, Chunk):
        return what.region, what.number
    return what.tensor.name, what.box
