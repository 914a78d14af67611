"""Every board's file is whole, and a wrong one is refused by name."""

import copy
import re
import tomllib
from pathlib import Path

import pytest

import boards.board
from boards.board import Processor, Serial, board_names, board_of, load_board
from boards.parts import load_part, part_names
from quant.errors import NoMulError
from rtl.architecture import load_architecture

DOCUMENT = Path(__file__).parents[2] / "docs" / "boards.md"
FOLDER = Path(boards.board.__file__).with_name("definitions")
TABLE = tomllib.loads((FOLDER / "pynq-z2.toml").read_text())


def test_the_boards():
    assert board_names() == [
        "arty-z7-20",
        "kv260",
        "pynq-z1",
        "pynq-z2",
        "te0808-15eg",
        "ultra96-v2",
        "ulx3s-85f",
        "zcu102",
        "zedboard",
    ]


@pytest.mark.parametrize("name", board_names())
def test_a_board(name):
    board = load_board(name.upper())
    assert board.key == name
    assert load_architecture(board.architecture)
    # Vendors' names begin with the part's.
    assert board.device.lower().startswith(board.part)
    row = f"| {board.name} (`{name}`) | {board.device} | `{board.architecture}` | "
    assert row in DOCUMENT.read_text()
    sources = [board.source, board.host.source, board.memory.source]
    assert all(sources + [pin.source for pin in board.pins.values()])
    if isinstance(board.host, Processor):
        family = load_part(board.part).family
        assert (board.host.kind, family) in {("ps7", "xc7"), ("ps8", "xcup")}
        # The window of 256 MiB lies in the port's range.
        low, high = {
            "ps7": (0x4000_0000, 0x8000_0000),
            "ps8": (0xA000_0000, 0xB000_0000),
        }[board.host.kind]
        assert low <= board.host.base and board.host.base + (1 << 28) <= high
    else:
        assert isinstance(board.host, Serial) and board.part not in part_names()
        assert {"clock", "transmit", "receive"} <= set(board.pins)


WRONG = {
    "a key too many": ({"colour": "red"}, "key colour is unknown; the keys are name"),
    "a key of a table": ({"memory.ranks": 1}, r"\[memory\]: key ranks is unknown"),
    "another type": ({"memory.megabytes": "512"}, "megabytes = '512' must be a int"),
    "nothing": ({"memory.bus_bits": 0}, "bus_bits = 0 says nothing"),
    "no text": ({"ps.source": ""}, "source = '' says nothing"),
    "another processor": ({"ps.kind": "ps9"}, "kind = 'ps9' is unknown; take one of ps7, ps8"),
    "two hosts": ({"serial": {}}, "give one of the tables ps and serial"),
    "no table": ({"pins.led": 3}, r"\[pins.led\] must be a table with the keys pin"),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_file(change):
    changes, message = WRONG[change]
    table = copy.deepcopy(TABLE)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = table
        for part in path:
            place = place[part]
        place[last] = value
    with pytest.raises(NoMulError, match=message):
        board_of("pynq-z2", table)


@pytest.mark.parametrize("key", ["device", "ps.base", "pins.led.pin"])
def test_a_missing_key(key):
    table = copy.deepcopy(TABLE)
    *path, last = key.split(".")
    place = table
    for part in path:
        place = place[part]
    del place[last]
    with pytest.raises(NoMulError, match=f"key {re.escape(last)} is missing; add it"):
        board_of("pynq-z2", table)


def test_an_unknown_board():
    with pytest.raises(NoMulError, match="no board pynq-z3: take one of arty-z7-20, "):
        load_board("pynq-z3")


def test_a_broken_file(tmp_path, monkeypatch):
    (tmp_path / "odd.toml").write_text("name = ")
    monkeypatch.setattr(boards.board, "_FOLDER", tmp_path)
    with pytest.raises(NoMulError, match=r"board file odd\.toml is no TOML"):
        load_board("odd")
