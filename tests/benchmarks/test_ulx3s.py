"""The figures of a machine on the ULX3S-85F, from a bitstream that is not made."""

import json

from click.testing import CliRunner

from benchmarks import ulx3s
from boards.bitstream import Bitstream
from boards.ecp5 import Routed


def test_the_figures(monkeypatch, tmp_path):
    asked = []

    def made(board, design, seed, say):
        asked.append((board.key, design.name, design.arguments[0].name, seed))
        return Bitstream(b"1234", Routed(61.5, 20_000, 10_000, 100, 0))

    monkeypatch.setattr(ulx3s, "bitstream", made)
    monkeypatch.setattr(ulx3s, "require_nextpnr", lambda: "0.11")
    path = tmp_path / "figures.json"
    done = CliRunner().invoke(ulx3s.main, ["--arch", "tiny", "--seed", "3", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert asked == [("ulx3s-85f", "nomul", "tiny", 3)]
    found = json.loads(path.read_text())
    assert (found["ecp5.mhz"], found["ecp5.comb"], found["ecp5.bytes"]) == (61.5, 20_000, 4)
    assert "61.5 MHz, 50 wanted" in done.stdout
