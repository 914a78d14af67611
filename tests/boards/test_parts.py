"""The table of parts."""

import pytest

from boards import parts
from boards.parts import load_part, part_names
from quant.errors import NoMulError

GOOD = {"family": "xc7", "lut": 8, "ff": 16, "carry": 2, "dsp": 1, "bram": 1, "uram": 0}


def test_all_parts():
    names = "xc7z010 xc7z020 xc7z045 xck26 xczu15eg xczu3eg xczu7ev xczu9eg"
    assert part_names() == sorted(names.split())
    for name in part_names():
        part = load_part(name)
        have = part.available
        # A slice has 4 look-up tables, a CLB of UltraScale+ 8; each has 2 flip-flops.
        assert have.lut == have.carry * (4 if part.family == "xc7" else 8)
        assert have.ff == 2 * have.lut
        assert part.family == ("xc7" if name.startswith("xc7") else "xcup")


def test_figures():
    zynq = load_part("XC7Z020").available
    assert (zynq.lut, zynq.dsp, zynq.bram, zynq.uram) == (53200, 220, 140, 0)
    ultra = load_part("xczu15eg").available
    assert (ultra.lut, ultra.dsp, ultra.bram, ultra.uram) == (341280, 3528, 744, 112)


def test_unknown_part():
    with pytest.raises(NoMulError, match="no part xc7z999: take one of xc7z010, xc7z020"):
        load_part("xc7z999")
    with pytest.raises(NoMulError, match="no part"):
        load_part("../parts/xc7z010")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"luts": 1}, "key luts is unknown"),
        ({"family": "ice40"}, "family ice40 is unknown; take one of xc7, xcup"),
        ({"lut": 0}, "lut is 0, not a whole number of 1 or more"),
        ({"bram": 1.5}, "bram is 1.5, not"),
        ({"uram": True}, "uram is True, not a whole number of 0"),
    ],
)
def test_wrong_file(change, message):
    with pytest.raises(NoMulError, match=message):
        parts._part("mine", {**GOOD, **change})


def test_missing_key():
    with pytest.raises(NoMulError, match=r"part file mine.toml: key dsp is missing"):
        parts._part("mine", {key: value for key, value in GOOD.items() if key != "dsp"})


def test_no_toml(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("lut = ")
    monkeypatch.setattr(parts, "_FOLDER", tmp_path)
    with pytest.raises(NoMulError, match=r"part file mine\.toml is no TOML"):
        load_part("mine")
