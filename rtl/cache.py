"""Results that take long to make, kept by content: compiled simulations, synthesis reports.

An entry is a folder ``<cache>/<kind>/<key>`` whose files are named with their hashes in
``manifest.json``. It is made under another name and renamed when complete, so an interrupted
build leaves nothing visible; an entry whose files differ from its manifest is made again.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from quant.errors import NoMulError

__all__ = ["Cache", "digest", "source_digest"]

_MANIFEST = "manifest.json"
_USER_ERRORS = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is over its quota",
    errno.EACCES: "is not writable",
    errno.EPERM: "is not writable",
    errno.EROFS: "is on a read-only file system",
    errno.ENOTDIR: "is not a folder",
    errno.EEXIST: "is not a folder",
}


def digest(*parts: object) -> str:
    """Hash of strings, numbers, and lists and dictionaries of them: 32 hexadecimal digits.

    >>> digest("a", "bc") == digest("ab", "c")
    False
    >>> len(digest({"rows": 4}))
    32
    """
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def source_digest(paths: Iterable[Path]) -> str:
    """Hash of names and contents of Python files; a folder stands for all files below it."""
    found: list[list[str]] = []
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found += [[str(file.relative_to(path)), _file_digest(file)] for file in files]
    return digest(found)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _intact(entry: Path) -> bool:
    try:
        manifest = json.loads((entry / _MANIFEST).read_text())
        return all(_file_digest(entry / name) == value for name, value in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


class Cache:
    """The cache folder: ``NOMUL_CACHE``, or ``nomul`` in the user's cache folder.

    Parameters
    ----------
    folder : Path, optional
        Another place.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            folder = Path(os.environ.get("NOMUL_CACHE") or Path(home) / "nomul")
        self.folder = folder.absolute()

    def find(self, kind: str, key: str) -> Path | None:
        """Folder of an intact entry, or None."""
        entry = self.folder / kind / key
        return entry if _intact(entry) else None

    def entry(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """Folder of the entry; ``build(folder)`` writes its files if there is none intact.

        Of several processes that want one entry, one builds and the others wait.

        Raises
        ------
        NoMulError
            If the cache folder is full, not writable or not a folder.
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        with self.user_errors():
            parent = self.folder / kind
            try:
                parent.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError as error:
                raise self._unusable("cannot be made") from error
            with self._lock(parent / f"{key}.lock"):
                return self.find(kind, key) or self._build(parent / key, build)

    @contextmanager
    def user_errors(self) -> Iterator[None]:
        """Turns a full or unwritable cache folder into a NoMulError."""
        try:
            yield
        except OSError as error:
            if error.errno not in _USER_ERRORS:
                raise
            raise self._unusable(_USER_ERRORS[error.errno]) from error

    def _unusable(self, what: str) -> NoMulError:
        return NoMulError(
            f"cache folder {self.folder} {what}: free space there or set NOMUL_CACHE to a folder "
            f"that you can write"
        )

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _build(self, entry: Path, build: Callable[[Path], None]) -> Path:
        # The lock is ours: what stands there is left over from a process that was killed.
        work = entry.with_name(f".{entry.name}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            build(work)
            files = [path for path in work.rglob("*") if path.is_file()]
            manifest = {str(path.relative_to(work)): _file_digest(path) for path in files}
            (work / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
            shutil.rmtree(entry, ignore_errors=True)
            work.rename(entry)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return entry
