"""Checkpoints: all that a training needs to go on as if it had never stopped."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from quant.errors import NoMulError, first_line
from quant.files import write_bytes

__all__ = ["load_tensors", "save_tensors"]


def save_tensors(path: str | Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to one file, which appears whole or not at all."""
    stream = io.BytesIO()
    torch.save(content, stream)
    write_bytes(path, stream.getbuffer())


def load_tensors(path: str | Path, fields: set[str]) -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote; nothing but tensors and plain values is accepted.

    Errors: :class:`NoMulError` for a missing or unreadable file, and where ``fields`` are missing.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise NoMulError(f"{path} does not exist; check the path") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise NoMulError(
            f"{path} holds no weights or checkpoint ({first_line(error)}); write it again"
        ) from error
    missing = fields - set(content) if isinstance(content, dict) else fields
    if missing:
        raise NoMulError(
            f"{path} was not written by nomul train: it has no {', '.join(sorted(missing))}"
        )
    return content
