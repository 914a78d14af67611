"""A long program through a small instruction memory, which two halves of it fill in turn.

While one half of the memory is executed the next of the program is fetched into the other; the end
of the one waits for it. The last half fetches the first, so a machine that has ended can start
again. What is inserted counts among the transfers of its channel, so what waits for later ones
waits for as many more.
"""

from compiler.tiling.transfers import Buffer
from quant.errors import NoMulError
from rtl.isa import Instruction, Opcode, decode, encode
from rtl.registers import Region

__all__ = ["paged"]

CHANNEL = 0
AHEAD = 8
"""Instructions in front of a half's end where it is waited for the next: more than are fetched
before they are executed."""
HALT = encode(Opcode.HALT)
NOTHING = encode(Opcode.SHAPE, rows=0, memory_stride=0, address_stride=0)
"""Has no effect where no transfer follows."""


def paged(words: list[int], memory_words: int) -> list[int]:
    """The program for a memory of so many instructions: itself where it fits.

    Else an even number of halves of them, so that the first and the last do not stand in one place,
    with ``HALT`` at the end. A start needs the first half in its place.
    """
    if len(words) <= memory_words:
        return measured(words)
    pages = Pages(memory_words // 2)
    for word in words[:-1]:
        pages.append(word)
    while not pages.even:
        pages.append(NOTHING)
    return measured(pages.finish())


class Pages:
    """Instructions in halves of the memory, ``half`` each, as they are executed."""

    def __init__(self, half: int) -> None:
        self.half = half
        self.words: list[int] = []
        self.extra = 0
        # Settings of transfers as the program has them, which what is inserted writes over.
        self.own: dict[Opcode, int] = {}
        self.moves = 0
        self.waiting: int | None = None

    @property
    def even(self) -> bool:
        """Whether the last half has begun, and there is room in it, and their number is even."""
        place, offset = divmod(len(self.words), self.half)
        return place % 2 == 1 and offset > 0

    def append(self, word: int) -> None:
        """The program's next instruction."""
        place, offset = divmod(len(self.words), self.half)
        # CHECK comes first of all.
        if offset == (0 if place else 1):
            self.extra += 1
            self.words += fetch(place + 1, self.half)
            self.words += self.own.values()
            self.moves += 1
            self.waiting = self.moves
        elif self.waiting is not None and offset >= self.half - AHEAD:
            self.wait()
        instruction = decode(word)
        self.moves += instruction.opcode is Opcode.MOVE and instruction.fields["channel"] == CHANNEL
        if instruction.opcode in (Opcode.TARGET, Opcode.SHAPE):
            self.own[instruction.opcode] = word
        self.words.append(shifted(instruction, word, self.extra))

    def wait(self) -> None:
        """Wait for the half that is fetched, unless that has been done."""
        if self.waiting is not None:
            self.words.append(encode(Opcode.WAIT, what=CHANNEL, count=self.waiting))
            self.waiting = None

    def finish(self) -> list[int]:
        """All of them, as soon as they are :attr:`even`; the last half fetches the first."""
        self.wait()
        last = len(self.words) // self.half * self.half
        self.words += [HALT] * (last + self.half - len(self.words))
        first = fetch(0, self.half)
        self.words[last : last + len(first)] = first
        return self.words


def measured(words: list[int]) -> list[int]:
    """The same with its length in ``CHECK``.

    Errors: :class:`NoMulError` for a program that is too long.
    """
    fields = decode(words[0]).fields
    try:
        return [encode(Opcode.CHECK, **fields | {"length": len(words)}), *words[1:]]
    except ValueError as error:
        raise NoMulError(f"the program is too long: {error}; use a smaller network") from None


def fetch(place: int, half: int) -> list[int]:
    """Instructions that fetch a half of the program."""
    return [
        encode(Opcode.TARGET, buffer=Buffer.PROGRAM, offset=place * half),
        encode(Opcode.SHAPE, rows=1, memory_stride=0, address_stride=0),
        encode(
            Opcode.MOVE,
            channel=CHANNEL,
            store=0,
            region=Region.INSTRUCTIONS,
            address=place % 2 * half,
            words=half,
        ),
    ]


def shifted(instruction: Instruction, word: int, extra: int) -> int:
    """An instruction, which waits for so many transfers more if it waits for the channel."""
    if instruction.opcode is not Opcode.WAIT or instruction.fields["what"] != CHANNEL:
        return word
    fields = instruction.fields
    return encode(Opcode.WAIT, what=fields["what"], count=fields["count"] + extra)
