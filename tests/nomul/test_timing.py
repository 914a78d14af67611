"""``nomul synth --timing``: tables, figures, refusal."""

import json

from boards.parts import load_part
from boards.paths import Ends, Path
from boards.timing import ARRAY, SHELL, TimingReport
from nomul.output import console
from nomul.timing import timing_figures, timing_table
from tests.nomul.conftest import nomul


def path(levels, chains=0):
    return Path("x.a", ("LUT6",) * levels, (1,) * (levels + 1), "y.b", levels / 2, levels, chains)


REPORT = TimingReport(
    "machine",
    load_part("xc7z020"),
    {
        "": Ends(path(1), {0: path(1)}),
        "engine.column_0": Ends(path(3), {0: path(3), 1: path(1, 1)}),
        "post.lane_0": Ends(path(4), {0: path(4)}),
        "post.lane_1": Ends(path(6), {0: path(6)}),
    },
)


def test_table():
    with console.capture() as capture:
        timing_table(REPORT)
    rows = [line.split() for line in capture.get().splitlines()]
    assert ["machine", "on", "xc7z020:", "estimate,", "not", "placed", "and", "routed"] in rows
    # LUT levels, carry chains, ns, MHz, whether the rule is kept.
    assert ["top", "1", "0", "0.50", "2000", "✓"] in rows
    assert ["engine", "3", "1", "1.50", "667", "✗"] in rows
    assert ["post", "6", "0", "3.00", "333", "✗"] in rows
    title = f"Deeper than allowed ({ARRAY.name}; {SHELL.name})"
    deeper = rows[rows.index(title.split()) :]
    assert [row[0] for row in deeper if row and row[0] in REPORT.grouped()] == ["engine", "post"]


def test_figures():
    found = timing_figures(REPORT)
    assert found["timing.mhz"] == 1000 / 3
    assert found["timing.violations"] == 2
    assert set(found["timing"]["violations"]) == {"engine.column_0", "post.lane_1"}


def test_verb(tmp_path):
    target = tmp_path / "figures.json"
    result = nomul(
        *("synth", "--arch", "tiny", "--block", "nest_activation", "--part", "xc7z020"),
        *("--timing", "--json", target),
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(target.read_text())
    assert 50 < found["timing.mhz"] < 1000
    assert found["synth.lut"] > 0
    assert "nest_activation on xc7z020: estimate, not placed and routed" in result.stdout


def test_a_part_without_delays():
    result = nomul(
        "synth", "--arch", "tiny", "--block", "nest_activation", "--part", "xczu3eg", "--timing"
    )
    assert result.exit_code == 1
    assert "no cell delays are known of xczu3eg" in result.stderr
    assert "block" not in result.stdout
