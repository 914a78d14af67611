import pytest

from compiler.settings import ProgramError, Run, decode_fields, encode_fields, execute
from rtl.architecture import load_architecture
from rtl.engines.shift_gemm import ShiftGemm
from rtl.isa import VERSION, Nest, Opcode, Path, encode

TINY = load_architecture("tiny")
CHECK = encode(Opcode.CHECK, version=VERSION, fingerprint=TINY.fingerprint, length=0)
HALT = encode(Opcode.HALT)
RUN = encode(Opcode.RUN, path=Path.BYPASS, signed=0, layer=3, continues=0)


def test_engine_fields():
    fields = {"last_vector": 63, "signed": 1, "split": 2}
    word = encode_fields(ShiftGemm.Settings, fields)
    assert word == 63 | 1 << 16 | 2 << 17
    assert decode_fields(ShiftGemm.Settings, word) == fields
    with pytest.raises(ValueError, match="last_vector is 65536"):
        encode_fields(ShiftGemm.Settings, {"last_vector": 65536, "signed": 0, "split": 0})
    with pytest.raises(ValueError, match="settings"):
        encode_fields(ShiftGemm.Settings, {"signed": 0})


def test_settings_persist_between_runs():
    loops = [encode(Opcode.LOOP, nest=Nest.SUM, level=i, last=i, step=0) for i in range(4)]
    words = [CHECK, *loops, RUN, RUN, HALT, RUN]
    events = list(execute(TINY, words))
    runs = [event for event in events if isinstance(event, Run)]
    assert [run.pc for run in runs] == [5, 6]
    assert runs[1].counts(Nest.SUM) == [1, 2, 3, 4]
    assert runs[1].words(Nest.SUM) == 24
    assert runs[0].layer == 3
    assert events[-1] is Opcode.HALT


@pytest.mark.parametrize(
    "words, message",
    [
        ([HALT], "instruction 0 is HALT; a program begins with CHECK"),
        ([CHECK], "instruction 0 is the last one and no HALT"),
        ([CHECK, 63], "instruction 1: 0x3f has no known opcode"),
        ([encode(Opcode.CHECK, version=99, fingerprint=0, length=0)], "instruction set 99"),
        (
            [encode(Opcode.CHECK, version=VERSION, fingerprint=1, length=0)],
            "is for machine 0x00000001",
        ),
        (
            [CHECK, encode(Opcode.LOOP, nest=Nest.PARAMETER, level=4, last=0, step=0)],
            "PARAMETER has no level 4",
        ),
        ([CHECK, 2 | 7 << 6], "there is no nest 7"),
        (
            [CHECK, encode(Opcode.STEP, level=7, row=0, column=0)],
            "ACTIVATION has no level 7",
        ),
        (
            [CHECK, encode(Opcode.RUN, path=Path.ENGINE, signed=0, layer=0, continues=1)],
            "instruction 1 .RUN.: tiny keeps no sums from run to run",
        ),
    ],
)
def test_what_a_machine_refuses(words, message):
    with pytest.raises(ProgramError, match=f"{message}.*; compile the network again$"):
        list(execute(TINY, words))


def test_a_setting_that_nothing_wrote():
    run = next(event for event in execute(TINY, [CHECK, RUN, HALT]) if isinstance(event, Run))
    with pytest.raises(ProgramError, match="needs the setting LOOP 2 0, which nothing wrote"):
        run.counts(Nest.SUM)
