import json
import stat

import pytest

from nomul import output
from nomul.output import stage, table, write_bytes, write_json
from quant.errors import NoMulError


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


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(NoMulError, match=r"nowhere/figures.json cannot be written"):
        write_bytes(tmp_path / "nowhere" / "figures.json", b"")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(NoMulError, match="is a folder"):
        write_bytes(tmp_path, b"")


def test_table_keeps_every_digit_at_80_columns(capsys, monkeypatch):
    monkeypatch.setattr(output.console, "_width", 80)
    table("Title", ["layer", "MACs", "ok"], [["a" * 100, 1234567, True], ["b", 0.25, False]])
    text = capsys.readouterr().out
    assert "1,234,567" in text and "0.25" in text and "✓" in text and "✗" in text
    assert max(map(len, text.splitlines())) <= 80


def test_stage_says_begin_and_end_without_a_terminal(capsys):
    with stage("Count") as progress:
        progress(1, 2, "half")
    text = capsys.readouterr().err
    assert text.startswith("Count ...") and "✓ Count" in text
