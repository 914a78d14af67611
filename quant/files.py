"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from quant.errors import NoMulError, first_line

__all__ = ["check_target", "write_bytes"]


def check_target(path: str | Path) -> None:
    """Refuse what :func:`write_bytes` could not write, before the work that makes its content.

    Errors: :class:`NoMulError` for a folder, and where the file's folder is missing or closed.
    """
    path = Path(path)
    if path.is_dir():
        raise NoMulError(f"{path} is a folder; name a file to write")
    if not path.parent.is_dir():
        raise NoMulError(f"{path} cannot be written: {path.parent} is no folder; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise NoMulError(f"{path} cannot be written: {path.parent} is closed to you; name another")


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a whole file or nothing.

    Errors: :class:`NoMulError` where the folder is missing, cannot be written to or is full.
    """
    path = Path(path)
    check_target(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o666 & ~umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise NoMulError(
            f"{path} cannot be written ({reason}); check the folder and its free space"
        ) from error


def umask() -> int:
    """The process's mask of file permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
