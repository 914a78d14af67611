import io
import json
import re
import stat

import pytest
from rich.console import Console

from nomul import output
from nomul.output import stage, table, write_json


def test_json_is_written_whole(tmp_path):
    path = tmp_path / "figures.json"
    write_json(path, {"accuracy.float": 97.5})
    assert json.loads(path.read_text()) == {"accuracy.float": 97.5}
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_json(path, {"value": object()})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_infinity(tmp_path):
    path = tmp_path / "figures.json"
    write_json(path, {"sqnr": float("inf"), "layers": [{"sqnr": float("nan")}, {"sqnr": 1.5}]})
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found == {"sqnr": None, "layers": [{"sqnr": None}, {"sqnr": 1.5}]}


def printed(monkeypatch, columns, **options):
    """What a table of long names and long numbers looks like."""
    stream = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=stream, width=columns, **options))
    names = [f"number{i}" for i in range(5)]
    rows = [
        ["a" * 30, "depthwise 3x3 grouped", *[1234567 + i for i in range(5)]],
        ["[red]", "conv", 0.25, True, False, None, 7],
    ]
    table("Title", ["layer", "kind", *names], rows, left=2)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_table_keeps_every_digit_on_a_narrow_terminal(monkeypatch, columns):
    text = printed(monkeypatch, columns, force_terminal=True, no_color=True)
    for i in range(5):
        assert f"{1234567 + i:,}" in text
    assert all(part in text for part in ("0.25", "✓", "✗", "[red]"))
    if columns >= 80:
        plain = re.sub(r"\x1b[^m]*m", "", text)
        assert max(map(len, plain.splitlines())) <= columns


def test_table_is_whole_where_there_is_no_terminal(monkeypatch):
    lines = printed(monkeypatch, 80, force_terminal=False).splitlines()
    assert any(
        "a" * 30 in line and "depthwise 3x3 grouped" in line and "1,234,571" in line
        for line in lines
    )


def test_stage_says_begin_and_end_without_a_terminal(capsys):
    with stage("Count") as progress:
        progress(1, 2, "half")
    text = capsys.readouterr().err
    assert text.startswith("Count ...") and "✓ Count" in text
