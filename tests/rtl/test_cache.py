"""The cache: complete entries or none, wrong ones made again, user's disks reported."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from quant.errors import NoMulError
from rtl.cache import Cache, digest, source_digest


def builder(text, calls):
    def build(folder):
        calls.append(text)
        (folder / "result").write_text(text)

    return build


def test_builds_once(tmp_path):
    calls = []
    cache = Cache(tmp_path)
    assert cache.find("kind", "key") is None
    entry = cache.entry("kind", "key", builder("a", calls))
    assert cache.entry("kind", "key", builder("b", calls)) == entry
    assert (entry / "result").read_text() == "a"
    assert cache.find("kind", "key") == entry
    assert calls == ["a"]


@pytest.mark.parametrize("damage", ["change", "remove", "manifest"])
def test_damaged_entry_is_made_again(tmp_path, damage):
    calls = []
    cache = Cache(tmp_path)
    entry = cache.entry("kind", "key", builder("a", calls))
    if damage == "change":
        (entry / "result").write_text("x")
    elif damage == "remove":
        (entry / "result").unlink()
    else:
        (entry / "manifest.json").write_text("[")
    assert cache.find("kind", "key") is None
    assert (cache.entry("kind", "key", builder("a", calls)) / "result").read_text() == "a"
    assert calls == ["a", "a"]


def test_interrupted_build_leaves_nothing(tmp_path):
    def build(folder):
        (folder / "result").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).entry("kind", "key", build)
    assert Cache(tmp_path).find("kind", "key") is None
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key.lock"]


def test_killed_build_is_cleared_away(tmp_path):
    (tmp_path / "kind" / ".key").mkdir(parents=True)
    (tmp_path / "kind" / ".key" / "left").write_text("half")
    entry = Cache(tmp_path).entry("kind", "key", builder("a", []))
    assert sorted(path.name for path in entry.iterdir()) == ["manifest.json", "result"]


def test_full_disk(tmp_path):
    def build(folder):
        (folder / "result").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    message = f"cache folder {tmp_path} is full: free space there or set NOMUL_CACHE"
    with pytest.raises(NoMulError, match=message):
        Cache(tmp_path).entry("kind", "key", build)
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key.lock"]


def test_unusable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoMulError, match="file/sub is not a folder: free space"):
        Cache(tmp_path / "file" / "sub").entry("kind", "key", builder("a", []))


def test_read_only_folder(tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(NoMulError, match="is not writable"):
        Cache(tmp_path).entry("kind", "key", builder("a", []))


def test_other_errors_stay(tmp_path):
    def build(folder):
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        Cache(tmp_path).entry("kind", "key", build)


def test_processes_build_one_entry_once(tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from rtl.cache import Cache\n"
        "def build(folder):\n"
        "    time.sleep(0.3)\n"
        "    (folder / 'result').write_text('a')\n"
        "    print('built')\n"
        "Cache(pathlib.Path(sys.argv[1])).entry('kind', 'key', build)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(process.communicate()[0] for process in running) == ["", "", "built\n"]


def test_place(tmp_path, monkeypatch):
    monkeypatch.setenv("NOMUL_CACHE", str(tmp_path / "mine"))
    assert Cache().folder == tmp_path / "mine"
    monkeypatch.delenv("NOMUL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().folder == tmp_path / "nomul"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache().folder == tmp_path / ".cache" / "nomul"


def test_digests(tmp_path):
    assert digest("a", 1) == digest("a", 1) != digest("a", 2)
    (tmp_path / "a.py").write_text("x = 1\n")
    before = source_digest([tmp_path])
    (tmp_path / "a.txt").write_text("no source")
    assert source_digest([tmp_path]) == before
    (tmp_path / "b.py").write_text("")
    assert source_digest([tmp_path]) != before


def test_a_folder_that_cannot_be_is_told():
    with pytest.raises(NoMulError, match="/proc/nomul cannot be made: free space there or set"):
        Cache(Path("/proc/nomul")).entry("kind", "key", lambda folder: None)
