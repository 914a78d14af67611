"""A design: which component with which arguments, known by its sources before it is elaborated."""

import inspect
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from amaranth.lib import wiring

import quant.numbers
import quant.stochastic
import quant.weight_formats
import rtl
from rtl.cache import digest, source_digest
from rtl.verilog import require_yosys, to_rtlil, to_verilog

__all__ = ["Design"]


@dataclass(frozen=True)
class Design:
    """The component ``kind(*arguments)`` as a top module.

    Parameters
    ----------
    kind : class of wiring.Component
    arguments : tuple
        Told in full by their ``repr``, as frozen configs are and large arrays are not.
    name : str
        Name of the top module, a Verilog identifier.
    """

    kind: type[wiring.Component]
    arguments: tuple
    name: str

    @cached_property
    def key(self) -> str:
        """Hash of all that decides the hardware: sources, arguments and versions of tools.

        Raises
        ------
        NoMulError
            If pyosys is missing.
        """
        sources = (
            Path(rtl.__file__).parent,
            Path(quant.numbers.__file__),
            Path(quant.stochastic.__file__),
            Path(quant.weight_formats.__file__),
            Path(inspect.getfile(self.kind)),
        )
        return digest(
            [self.kind.__module__, self.kind.__qualname__, self.name, repr(self.arguments)],
            [source_digest(sources), metadata.version("amaranth"), require_yosys()],
        )

    def component(self) -> wiring.Component:
        """A new instance."""
        return self.kind(*self.arguments)

    def rtlil(self) -> str:
        """See :func:`rtl.verilog.to_rtlil`."""
        return to_rtlil(self.component(), self.name)

    def verilog(self) -> str:
        """See :func:`rtl.verilog.to_verilog`."""
        return to_verilog(self.component(), self.name)
