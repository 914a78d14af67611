import pytest

from compiler.tiling.paging import AHEAD, paged
from quant.errors import NoMulError
from rtl.isa import VERSION, Opcode, Waited, decode, encode
from rtl.registers import Region

MEMORY = 64
CHECK = encode(Opcode.CHECK, version=VERSION, fingerprint=1, length=0)


def move(channel):
    fields = {"channel": channel, "store": 0, "region": Region.FEATURES, "address": 0, "words": 1}
    return encode(Opcode.MOVE, **fields)


def program(rounds):
    """Rounds of a transfer on either channel, which the next waits for."""
    words = [CHECK]
    for number in range(rounds):
        words += [
            encode(Opcode.TARGET, buffer=2, offset=number),
            encode(Opcode.SHAPE, rows=1, memory_stride=0, address_stride=number % 7),
            move(0),
            move(1),
            encode(Opcode.WAIT, what=Waited.CHANNEL_0, count=number + 1),
            encode(Opcode.WAIT, what=Waited.CHANNEL_1, count=number + 1),
        ]
    return [*words, encode(Opcode.HALT)]


def followed(words):
    """Transfers of a program as (target, shape, channel, transfers waited for), and those of it."""
    settings, sent, waited, found, fetched = {}, [0, 0], [0, 0], [], []
    for pc, word in enumerate(words):
        instruction = decode(word)
        fields, opcode = instruction.fields, instruction.opcode
        settings[opcode] = tuple(fields.values())
        if opcode is Opcode.WAIT:
            assert fields["count"] <= sent[fields["what"]]
            waited[fields["what"]] = fields["count"]
        if opcode is Opcode.MOVE:
            behind = [a - b for a, b in zip(sent, waited)]
            sent[fields["channel"]] += 1
            if fields["region"] == Region.INSTRUCTIONS:
                fetched.append((pc, settings[Opcode.TARGET][1], fields["address"], sent[0]))
            else:
                found.append((settings[Opcode.TARGET], settings[Opcode.SHAPE], behind[1]))
    return found, fetched, waited


def test_a_short_program_only_gets_its_length():
    words = program(5)
    result = paged(words, MEMORY)
    assert result[1:] == words[1:]
    assert decode(result[0]).fields["length"] == len(words)


@pytest.mark.parametrize("rounds", [*range(11, 24), 40, 97])
def test_a_long_program_is_fetched_half_by_half(rounds):
    words, half = program(rounds), MEMORY // 2
    result = paged(words, MEMORY)
    assert decode(result[0]).fields["length"] == len(result)
    halves, rest = divmod(len(result), half)
    assert halves % 2 == rest == 0 and decode(result[-1]).opcode is Opcode.HALT
    found, fetched, waited = followed(result)
    # Its own transfers are as they were, and as much is waited for before each.
    assert found == followed(words)[0]
    assert waited[1] == rounds
    assert len(fetched) == halves
    for place, (pc, offset, address, count) in enumerate(fetched):
        # In the half before, when all that stood in its place has been executed; the last fetches
        # the first, which a start finds.
        following = (place + 1) % halves
        assert offset == following * half and pc // half == place
        assert address == following % 2 * half
        waits = [
            at
            for at, word in enumerate(result)
            if decode(word).opcode is Opcode.WAIT
            and decode(word).fields == {"what": 0, "count": count}
        ]
        # Waited for before what it holds is fetched, or the program ends.
        assert pc < waits[0] < (place + 1) * half - 3
    assert AHEAD > 3


def test_a_program_that_no_length_counts():
    with pytest.raises(NoMulError, match="the program is too long"):
        paged([CHECK, *[encode(Opcode.PASS, index=0, shift=0)] * (1 << 18)], 1 << 19)
