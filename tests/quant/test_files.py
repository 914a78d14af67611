import os

import pytest

from quant.errors import NoMulError
from quant.files import check_target, write_bytes


def test_a_file_is_written_over(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_broken_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def replace(*arguments):
        raise error

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises((NoMulError, KeyboardInterrupt)) as caught:
        write_bytes(path, b"new")
    if isinstance(error, OSError):
        assert "a.bin cannot be written (No space left on device); check" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    for function in (check_target, lambda path: write_bytes(path, b"")):
        with pytest.raises(NoMulError, match=r"nowhere/a.bin cannot be written"):
            function(tmp_path / "nowhere" / "a.bin")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(NoMulError, match="is a folder"):
        check_target(tmp_path)


def test_a_closed_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(NoMulError, match="is closed to you"):
        check_target(tmp_path / "a.bin")
