"""The activations that a run of a program reads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compiler.settings import Run
from rtl.architecture import Architecture
from rtl.isa import ADDRESS, COORDINATE, Nest, Opcode, Path

__all__ = ["ActivationReads"]


@dataclass(frozen=True)
class ActivationReads:
    """What the nest ACTIVATION of a run reads.

    Parameters
    ----------
    addresses : int64 [vectors, P, T]
    inside : bool [vectors, P, T]
        Whether a word lies in the map; it reads as 0 where not.
    """

    addresses: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(
        cls, architecture: Architecture, run: Run, require: Callable[[Run, bool, str], None]
    ) -> "ActivationReads":
        """Addresses of a run, checked: inside the memory, a vector's words in different banks."""
        words, groups = architecture.vector_words, architecture.groups
        if run.path is Path.BYPASS:
            words = 1
        vector = run.vector()
        banks = 1 << (words - 1).bit_length()
        residues = {j * vector.word_step % banks for j in range(words)}
        require(run, len(residues) == words, "two words of a vector stand in one bank")
        offsets = vector.offsets(words, groups)
        bounds = run.settings.get(Opcode.BOUNDS)
        row, column = run.coordinates("row"), run.coordinates("column")
        half = 1 << COORDINATE.width - 1
        column = (column[:, None, None] + offsets + half) % (2 * half) - half
        inside = (column >= 0) & (column < bounds["columns"])
        inside &= ((row >= 0) & (row < bounds["rows"]))[:, None, None]
        addresses = run.addresses(Nest.ACTIVATION, 1 << ADDRESS.width)[:, None, None] + offsets
        addresses %= 1 << ADDRESS.width
        depth = architecture.memory.feature_words
        require(run, addresses[inside].max(initial=0) < depth, "reads features that are not there")
        return cls(np.where(inside, addresses, 0), inside)

    def words(self, features: np.ndarray, part: slice) -> np.ndarray:
        """Codes of some vectors: ``[N, vectors, P, T, lanes]``."""
        words = features[:, self.addresses[part]]
        words[:, ~self.inside[part]] = 0
        return words
