"""The program: what a machine needs to run a network, and what people need to follow it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from compiler.layout import Layout, Unfolding
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from quant.graph import load_container, save_container, understood
from quant.numbers import Format
from rtl.architecture import Architecture, load_architecture

__all__ = ["LayerRecord", "Program"]

KIND = "program"


@dataclass(frozen=True)
class LayerRecord:
    """What became of a layer of the network.

    Parameters
    ----------
    name, kind : str
        Of the layer in the quantized graph.
    inputs : tuple of str
        Names of the tensors that it reads.
    output : PlacedTensor
        Its tensor, which stands there when ``runs_done`` runs of the program have ended.
    first_run, runs : int
        Its runs, which may be none: a concatenation whose inputs are made in place.
    runs_done : int
    macs : int
        Multiply-accumulates of an image, those with padding included; 0 without weights.
    passes : float
        Of its weights, the mean over all outputs, whose passes may differ; 0 without runs.
    cycles : int
        Predicted cycles, see :class:`~compiler.cycles.Cycles`.
    kept : bool
        Whether its tensor stands there at all: not where each part of it stays on chip until the
        next layer has read it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: PlacedTensor
    first_run: int
    runs: int
    runs_done: int
    macs: int
    passes: float
    cycles: int
    kept: bool = True

    def busy(self, macs_per_cycle: int) -> float:
        """Share of the engine's MAC slots, in this layer's cycles, that do its MACs.

        Every pass does all MACs of the layer once: ``passes * macs / (cycles * macs_per_cycle)``.
        Slots that work for unused lanes or for the zeros between groups count as idle.
        """
        return self.passes * self.macs / (self.cycles * macs_per_cycle) if self.macs else 0.0


@dataclass(frozen=True)
class Program:
    """A compiled network.

    Parameters
    ----------
    name, scheme : str
        Of the quantized graph.
    architecture : Architecture
        The machine that it was made for.
    instructions : uint64 [words]
    weights, parameters : uint32 [words, pieces]
        Images of these memories from address 0.
    input, output : PlacedTensor
        Where codes are put before a start and found after it.
    layers : tuple of LayerRecord
        In the order of the graph.
    cycles : int
        Predicted cycles of an image; of a machine with external memory by a model of that.
    external : uint32 [beats, 2]
        The buffer of weights and parameters in external memory; empty without one.
    external_words : int
        Feature words of the buffer of tensors there: all tensors then stand in it.
    """

    name: str
    scheme: str
    architecture: Architecture
    instructions: np.ndarray
    weights: np.ndarray
    parameters: np.ndarray
    input: PlacedTensor
    output: PlacedTensor
    layers: tuple[LayerRecord, ...]
    cycles: int
    external: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.uint32))
    external_words: int = 0

    @property
    def busy(self) -> float:
        """Share of all MAC slots of a whole image, see :meth:`LayerRecord.busy`."""
        used = sum(layer.passes * layer.macs for layer in self.layers)
        return used / (self.cycles * self.architecture.macs_per_cycle)

    def save(self, path: str | Path) -> None:
        """Write the program to one file."""
        header = {
            "name": self.name,
            "scheme": self.scheme,
            "architecture": self.architecture.to_dict(),
            "fingerprint": self.architecture.fingerprint,
            "input": asdict(self.input),
            "output": asdict(self.output),
            "layers": [asdict(layer) for layer in self.layers],
            "cycles": self.cycles,
            "external_words": self.external_words,
        }
        arrays = {
            "instructions": self.instructions,
            "weights": self.weights,
            "parameters": self.parameters,
            "external": self.external,
        }
        save_container(path, KIND, header, arrays)

    @classmethod
    def load(
        cls, path: str | Path, architecture: Architecture | str | Path | None = None
    ) -> "Program":
        """Read what :meth:`save` wrote, and check that it is for ``architecture`` if one is named.

        Errors: :class:`NoMulError` for a file that is no program, or a program for another machine.
        """
        header, arrays = load_container(path, KIND)
        with understood(path, KIND):
            return cls._from_parts(path, header, arrays, architecture)

    @classmethod
    def _from_parts(
        cls,
        path: str | Path,
        header: dict,
        arrays: dict[str, np.ndarray],
        architecture: Architecture | str | Path | None,
    ) -> "Program":
        made_for = Architecture.from_dict(header["architecture"], str(path))
        if made_for.fingerprint != header["fingerprint"]:
            raise NoMulError(
                f"{path} was made by another version of NoMul; compile the network again"
            )
        if architecture is not None:
            machine = load_architecture(architecture)
            if machine.fingerprint != made_for.fingerprint:
                raise NoMulError(
                    f"{path} is a program for {made_for.name} ({made_for.fingerprint:#010x}), not "
                    f"for {machine.name} ({machine.fingerprint:#010x}); compile the network for "
                    f"{machine.name}"
                )
        layers = [
            LayerRecord(
                **record | {"inputs": tuple(record["inputs"]), "output": placed(record["output"])}
            )
            for record in header["layers"]
        ]
        return cls(
            name=header["name"],
            scheme=header["scheme"],
            architecture=made_for,
            **arrays,
            input=placed(header["input"]),
            output=placed(header["output"]),
            layers=tuple(layers),
            cycles=header["cycles"],
            external_words=header["external_words"],
        )


def placed(entry: dict) -> PlacedTensor:
    """A tensor from its description in a file."""
    channels, height, width = entry["shape"]
    return PlacedTensor(
        entry["name"],
        (channels, height, width),
        Format(**entry["format"]),
        entry["address"],
        Layout(entry["layout"]["lanes"], tuple(entry["layout"]["slots"])),
        entry["pitch"],
        Unfolding(**entry["unfolding"]),
    )
