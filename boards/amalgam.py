"""The driver as one file: the project's modules that a board needs, one behind the other."""

import ast
from importlib import import_module
from pathlib import Path

__all__ = ["MODULES", "amalgamated"]

MODULES = (
    "quant.errors",
    "quant.numbers",
    "rtl.registers",
    "rtl.dma.registers",
    "rtl.packing",
    "boards.image",
    "boards.buffers",
    "boards.accelerator",
    "boards.transports",
    "boards.memories",
    "boards.clocks",
    "boards.kit",
)
"""In an order in which each needs only those before it."""

FOLDERS = ("quant", "rtl", "compiler", "sim", "boards", "nomul")

_HEAD = '''"""Driver of a NoMul machine; needs numpy only. Made by nomul package of these modules:

{modules}
"""
'''


def amalgamated() -> str:
    """The modules' text without their imports of each other and their docstrings.

    Each name is what it is in the project; so what is tested there is what runs on the board.

    Errors: ``ValueError`` where a module imports one of the project that is not among them, or two
    define the same name.
    """
    imports: set[str] = set()
    bodies: list[str] = []
    defined: dict[str, str] = {}
    for name in MODULES:
        text = Path(str(import_module(name).__file__)).read_text()
        lines = text.splitlines()
        dropped: set[int] = set()
        for node in ast.parse(text).body:
            span = range(node.lineno - 1, node.end_lineno or node.lineno)
            if isinstance(node, ast.Import | ast.ImportFrom):
                source = getattr(node, "module", None) or node.names[0].name
                if own(source):
                    if source not in MODULES[: MODULES.index(name)]:
                        raise ValueError(f"{name} imports {source}, which is not in the driver")
                else:
                    imports.add(" ".join(lines[span.start : span.stop]))
                dropped.update(span)
            elif (docstring(node) and node.lineno == 1) or assigns(node) == ["__all__"]:
                dropped.update(span)
            for defined_name in assigns(node):
                if defined_name != "__all__" and defined.setdefault(defined_name, name) != name:
                    raise ValueError(f"{defined[defined_name]} and {name} define {defined_name}")
        kept = "\n".join(line for i, line in enumerate(lines) if i not in dropped).strip("\n")
        bodies.append(f"# {name}\n\n{kept}")
    head = _HEAD.format(modules="\n".join(f"* {name}" for name in MODULES))
    # Plain imports first, as the linters want it.
    ordered = sorted(imports, key=lambda line: (line.startswith("from"), line))
    return "\n".join((head, *ordered, "", "\n\n\n".join(bodies), ""))


def own(module: str) -> bool:
    """Whether a module is the project's."""
    return module.split(".")[0] in FOLDERS


def docstring(node: ast.stmt) -> bool:
    """Whether a statement is a text alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def assigns(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        found = [name for target in node.targets for name in ast.walk(target)]
        return [name.id for name in found if isinstance(name, ast.Name)]
    return []
