"""Training methods: a method is one class in one file of this package, found by name.

A new method is a module here with a subclass of :class:`Method`; nothing else changes. It prepares
a network for training, is told of every epoch and step, and gives back a plain network.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import nn

from quant.errors import NoMulError

__all__ = ["Method", "Options", "find_method"]


@dataclass(frozen=True)
class Options:
    """What can be set of a method: the fields of its own subclass, each with a default."""

    @classmethod
    def parse(cls, texts: dict[str, str]) -> "Options":
        """Options from text, as a command line gives them.

        Errors: :class:`NoMulError` for an unknown name and for text that is no such value.
        """
        kinds: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in texts.items():
            if name not in kinds:
                known = ", ".join(kinds) or "none"
                raise NoMulError(f"the method has no option {name}; it has: {known}")
            try:
                values[name] = kinds[name](text)
            except ValueError:
                raise NoMulError(
                    f"option {name} is {text!r}; give a value of type {kinds[name].__name__}"
                ) from None
        return cls(**values)


class Method(ABC):
    """How a network is trained.

    Parameters
    ----------
    options : Options
        Of the type ``Options`` of the class.

    Class attributes
    ----------------
    name : how it is asked for.
    options_type : dataclass of its options.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Options]] = Options

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def wrap(self, model: nn.Module, example: torch.Tensor) -> nn.Module:
        """The network to train, made of a plain one, which may be changed.

        ``example`` are some hundred training images of mixed classes, as the network reads them.
        """

    def begin_epoch(self, model: nn.Module, done: float) -> None:
        """Called before each epoch; ``done`` is the share of the training before it, 0 to 1."""
        return None

    def begin_step(self, model: nn.Module, done: float) -> None:
        """Called before each step, after ``begin_epoch``."""
        return None

    def penalty(self, model: nn.Module) -> torch.Tensor | None:
        """What is added to the loss of each step."""
        return None

    @abstractmethod
    def finish(self, model: nn.Module) -> nn.Module:
        """The trained network in plain layers: what it computes at the end of training."""


def find_method(name: str) -> type[Method]:
    """The method of a name. Errors: :class:`NoMulError` that lists the known names."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    known = {cls.name: cls for cls in Method.__subclasses__()}
    if name not in known:
        raise NoMulError(f"no training method {name!r}; choose one of: {', '.join(sorted(known))}")
    return known[name]
