"""Components that stand in a design many times are converted to RTLIL once.

Amaranth elaborates and converts every instance anew, which for an array takes minutes. Here it sees
one instance of a module that is not there, and the module's text is copied for each afterwards, so
the outcome is the one that it would have made.
"""

import re
from collections.abc import Hashable
from functools import partial
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["shared", "to_rtlil"]

_CELL = re.compile(r"^(  cell \\)(\S+)( \\)(\S+)$", re.M)


class Sharing:
    """What a component's ``elaborate`` gets as its platform while a design is converted.

    Parameters
    ----------
    top : Component
        The design, which stands for itself.
    """

    def __init__(self, top: wiring.Component) -> None:
        self.top = top
        self._names: dict[Hashable, str] = {}
        self._texts: dict[str, str] = {}

    def instance(self, component: wiring.Component, key: Hashable) -> Instance:
        """See :func:`shared`."""
        name = self._names.setdefault(key, f"shared_{len(self._names)}")
        if name not in self._texts:
            # Without a platform it elaborates to its own hardware.
            text = rtlil.convert(component, name=name, emit_src=False)
            self._texts[name] = text.replace("attribute \\top 1\n", "")
        ports: dict[str, Value] = {}
        for path, member, value in component.signature.flatten(component):
            direction = "i" if member.flow is In else "o"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = value
        for port, signal in (("clk", ClockSignal()), ("rst", ResetSignal())):
            if re.search(rf"^  wire width 1 input \d+ +\\{port}$", self._texts[name], re.M):
                ports[f"i_{port}"] = signal
        return Instance(name, **ports)

    def completed(self, text: str) -> str:
        """A design's text with the modules of all instances, named after the place of each."""
        copies: list[str] = []

        def place(parent: str, cell: re.Match) -> str:
            if cell[2] not in self._texts:
                return cell[0]
            name = f"{parent}.{cell[4]}"
            whole_name = re.compile(rf"\\{cell[2]}(?=[.\s])")
            copies.append(whole_name.sub(lambda _: f"\\{name}", self._texts[cell[2]]))
            return f"{cell[1]}{name}{cell[3]}{cell[4]}"

        parts = re.split(r"^module \\(\S+)$", text, flags=re.M)
        whole = parts[:1]
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            placed = _CELL.sub(partial(place, name), body)
            whole += [f"module \\{name}", placed]
        return "".join((*whole, *copies))


def shared(component: wiring.Component, platform: Any, key: Hashable) -> Instance | None:
    """What ``elaborate`` returns instead of the component's hardware, if that is made elsewhere.

    None in simulation, where every component stands for itself.

    Parameters
    ----------
    component : Component
        All of its registers are in the domain ``sync``.
    platform : object
        What ``elaborate`` was given.
    key : hashable
        Where it is the same, the hardware is.
    """
    if isinstance(platform, Sharing) and platform.top is not component:
        return platform.instance(component, key)
    return None


def to_rtlil(component: wiring.Component, name: str) -> str:
    """Yosys's own language: deterministic, without source lines, top module ``name``."""
    sharing = Sharing(component)
    text = rtlil.convert(component, name=name, platform=sharing, emit_src=False)
    return sharing.completed(text)
