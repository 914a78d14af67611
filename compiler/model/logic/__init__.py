"""Terms of logic: sizes that look-up tables and flip-flops of a block grow with.

The shell's are in :mod:`compiler.model.logic.shell`; an engine's in a module of its name, of which
the model knows only this:

``terms(architecture, family)``
    :data:`Terms` of the engine, one of which may be :data:`MEASURED`.
``dsp_blocks(config)``
    DSP blocks, exactly.
``memory(config)``
    Width and depth of the engine's own block RAM, or None.
"""

import importlib
import pkgutil
from functools import cache

from quant.errors import NoMulError

__all__ = ["MEASURED", "Terms", "find"]

Terms = dict[str, dict[str, float]]
"""For ``lut`` and ``ff`` the terms by name; their coefficients are fitted."""

MEASURED = "measured"
"""The term that is no size but a cost by itself: it has no coefficient."""


@cache
def find(engine: str):
    """The module of an engine. Errors: :class:`NoMulError` if it has none."""
    if engine not in [module.name for module in pkgutil.iter_modules(__path__)]:
        raise NoMulError(f"the resource model has no terms for the engine {engine}")
    return importlib.import_module(f"{__name__}.{engine}")
