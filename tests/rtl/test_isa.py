import pytest
from amaranth.hdl import Shape
from hypothesis import given
from hypothesis import strategies as st

from rtl.isa import (
    INSTRUCTION_BITS,
    LAYOUTS,
    LEVELS,
    OPCODE_BITS,
    Nest,
    Opcode,
    Path,
    decode,
    encode,
)


def limits(opcode):
    """Lowest and highest value of each field."""
    spans = {}
    for name, field in LAYOUTS[opcode]:
        shape = Shape.cast(field.shape)
        low = -(1 << shape.width - 1) if shape.signed else 0
        spans[name] = (low, low + (1 << shape.width) - 1)
    return spans


@pytest.mark.parametrize("opcode", list(Opcode))
def test_layouts_fit(opcode):
    assert OPCODE_BITS + LAYOUTS[opcode].size <= INSTRUCTION_BITS


@given(st.data())
def test_round_trip(data):
    opcode = data.draw(st.sampled_from(list(Opcode)))
    fields = {
        name: data.draw(st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high)))
        for name, (low, high) in limits(opcode).items()
    }
    word = encode(opcode, **fields)
    assert 0 <= word < 1 << INSTRUCTION_BITS
    instruction = decode(word)
    assert instruction.opcode is opcode
    assert instruction.fields == fields


@pytest.mark.parametrize("opcode", list(Opcode))
def test_extremes_and_beyond(opcode):
    spans = limits(opcode)
    for side in (0, 1):
        fields = {name: span[side] for name, span in spans.items()}
        assert decode(encode(opcode, **fields)).fields == fields
        for name, span in spans.items():
            beyond = span[side] + (1 if side else -1)
            with pytest.raises(ValueError, match=rf"{opcode.name} {name} is {beyond}, outside"):
                encode(opcode, **(fields | {name: beyond}))


@pytest.mark.parametrize("opcode", list(Opcode))
def test_fields_must_be_those_of_the_opcode(opcode):
    fields = {name: 0 for name in limits(opcode)}
    with pytest.raises(ValueError, match=f"{opcode.name} has the fields"):
        encode(opcode, **fields, color=1)
    if fields:
        fields.popitem()
        with pytest.raises(ValueError, match=f"{opcode.name} has the fields"):
            encode(opcode, **fields)


def test_fields_do_not_overlap():
    """Each field alone: the bits that it sets are its own, above the opcode."""
    for opcode in Opcode:
        taken = (1 << OPCODE_BITS) - 1
        for name, (low, high) in limits(opcode).items():
            zeros = {other: 0 for other in limits(opcode)}
            ones = encode(opcode, **(zeros | {name: -1 if low else high})) ^ opcode.value
            assert ones and not ones & taken
            taken |= ones


@pytest.mark.parametrize("opcode", range(len(Opcode), 64))
def test_unknown_opcodes(opcode):
    with pytest.raises(ValueError, match=f"{opcode} is not a valid Opcode"):
        decode(opcode)


@pytest.mark.parametrize(
    "word, text",
    [
        (encode(Opcode.HALT), "halt"),
        (
            encode(Opcode.LOOP, nest=Nest.SUM, level=3, last=9, step=-2),
            "loop    nest=sum level=3 last=9 step=-2",
        ),
        (
            encode(Opcode.RUN, path=Path.BYPASS, signed=1, layer=7, continues=0),
            "run     path=bypass signed=1 layer=7 continues=0",
        ),
        (
            encode(Opcode.CHECK, version=2, fingerprint=0xABCD, length=0),
            "check   version=2 fingerprint=0xabcd length=0",
        ),
        (
            encode(Opcode.VECTOR, word_step=-3, group_step=5, group_shift=1),
            "vector  word_step=-3 group_step=5 group_shift=1",
        ),
        (encode(Opcode.MEMBERS, last_level=1, count=4), "members last_level=1 count=4"),
        # A nest that does not exist still has a line: programs are looked at when they fail.
        (
            encode(Opcode.LOOP, nest=7, level=0, last=0, step=0),
            "loop    nest=7 level=0 last=0 step=0",
        ),
    ],
)
def test_disassembly(word, text):
    assert str(decode(word)) == text


def test_every_nest_fits_its_fields():
    assert all(levels <= 8 for levels in LEVELS.values())
    assert list(LEVELS) == list(Nest)
