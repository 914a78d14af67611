"""Which block of the hierarchy a cell of a flattened netlist belongs to.

Flip-flops and carry chains carry the name of the module that they came from as an attribute,
memories in their own name. Look-up tables are made anew from the logic between these, so a look-up
table belongs to the block that it feeds; where it feeds several, to the innermost block that holds
them all.
"""

from collections import defaultdict

__all__ = ["assign_owners"]

Path = tuple[str, ...]
"""Names of nested blocks, outermost first; the top is the empty path."""


def _common(paths: list[Path]) -> Path:
    first, last = min(paths), max(paths)
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]


def _marked(cell: dict, top: str) -> Path | None:
    """The module in the cell's source attribute; merged cells carry several, parted by bars."""
    paths = [
        tuple(name.split(".")[1:])
        for name in cell["attributes"].get("src", "").split("|")
        if name == top or name.startswith(f"{top}.")
    ]
    return _common(paths) if paths else None


def _named(name: str, blocks: set[str]) -> Path | None:
    """The innermost block whose dotted name begins the cell's name; None for a made-up name."""
    if name.startswith("$"):
        return None
    path = tuple(name.split("."))
    lengths = range(len(path) - 1, 0, -1)
    return next((path[:n] for n in lengths if ".".join(path[:n]) in blocks), ())


def assign_owners(module: dict, top: str, blocks: set[str]) -> dict[str, Path]:
    """Owner of every cell of a module in Yosys's JSON, by the cell's name.

    Parameters
    ----------
    module : dict
        A cell's ``src`` attribute holds the dotted name of its module, if it still knows it.
    top : str
        Name of the top, with which the dotted names start.
    blocks : set of str
        Dotted names of all blocks, without the top's.
    """
    cells = module["cells"]
    owners: dict[str, Path] = {}
    consumers: defaultdict[int, list[str]] = defaultdict(list)
    outputs: dict[str, list[int]] = {}
    for name, cell in cells.items():
        mark = _marked(cell, top)
        if mark is None:
            mark = _named(name, blocks)
        if mark is not None:
            owners[name] = mark
        outputs[name] = []
        for port, bits in cell["connections"].items():
            nets = [bit for bit in bits if isinstance(bit, int)]
            if cell["port_directions"][port] == "output":
                outputs[name] += nets
            else:
                for net in nets:
                    consumers[net].append(name)

    for start in cells:
        stack = [start]
        while stack:
            name = stack[-1]
            if name in owners:
                stack.pop()
                continue
            fed = {user for net in outputs[name] for user in consumers[net]} - {name}
            waiting = sorted(user for user in fed if user not in owners and user not in stack)
            if waiting:
                stack += waiting
                continue
            known = [owners[user] for user in fed if user in owners]
            owners[name] = _common(known) if known else ()
            stack.pop()
    return owners
