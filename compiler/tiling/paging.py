"""A long program through a small instruction memory, which two halves of it fill in turn.

While one half of the memory is executed the next of the program is fetched into the other; the end
of the one waits for it. What is inserted counts among the transfers of its channel, so what waits
for later ones waits for as many more.
"""

from quant.errors import NoMulError
from rtl.dma.registers import Buffer
from rtl.isa import Instruction, Opcode, decode, encode
from rtl.registers import Region

__all__ = ["paged"]

CHANNEL = 0
AHEAD = 8
"""Instructions in front of a half's end where it is waited for the next: more than are fetched
before they are executed."""


def paged(words: list[int], memory_words: int) -> list[int]:
    """The program for a memory of so many instructions: itself where it fits.

    What a host loads before the start are the first ``memory_words``. Else a multiple of half of
    them, with ``HALT`` from the last instruction on.
    """
    if len(words) <= memory_words:
        return measured(words)
    half = memory_words // 2
    result: list[int] = []
    extra = 0
    # Settings of transfers as the program has them, which what is inserted writes over.
    own: dict[Opcode, int] = {}
    moves = 0
    waiting = None
    for word in words:
        place, offset = divmod(len(result), half)
        if place and not offset:
            extra += 1
            result += fetch(place + 1, half)
            result += own.values()
            moves += 1
            waiting = moves
        elif waiting is not None and offset >= half - AHEAD:
            result.append(encode(Opcode.WAIT, what=CHANNEL, count=waiting))
            waiting = None
        instruction = decode(word)
        moves += instruction.opcode is Opcode.MOVE and instruction.fields["channel"] == CHANNEL
        if instruction.opcode in (Opcode.TARGET, Opcode.SHAPE):
            own[instruction.opcode] = word
        result.append(shifted(instruction, word, extra))
    # All that is fetched is there, also behind the last instruction.
    missing = (len(result) // half + 2) * half - len(result)
    return measured(result + [encode(Opcode.HALT)] * missing)


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
