"""Folders import each other as the design's table says, and never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("quant", "rtl", "compiler", "sim", "boards", "nomul")

# The integer primitives, the formats of weights and the class of errors are every folder's.
SHARED = {"quant.errors", "quant.numbers", "quant.stochastic", "quant.weight_formats"}
MAY_IMPORT = {
    "quant": {"quant"},
    "rtl": {"rtl"},
    "compiler": {"compiler", "quant", "rtl"},
    "sim": {"sim", "compiler", "rtl"},
    "boards": {"boards", "rtl"},
    "nomul": set(FOLDERS),
}


def modules() -> dict[str, Path]:
    """All modules of the product by name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(node: ast.AST) -> Iterator[str]:
    """Modules of the product that the imports below a node name."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in MODULES)
        elif isinstance(child, ast.ImportFrom) and child.module:
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                if full in MODULES:
                    yield full
                elif child.module in MODULES:
                    yield child.module


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_import_runs_against_the_table(folder):
    own = [name for name in MODULES if name.split(".")[0] == folder]
    assert own
    for name in own:
        for target in imported(ast.parse(MODULES[name].read_text())):
            allowed = target.split(".")[0] in MAY_IMPORT[folder] or target in SHARED
            assert allowed, f"{name} imports {target}"


def test_no_import_cycles():
    # What stands inside a function is imported when all modules are there.
    graph = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        graph[name] = {target for node in top for target in imported(node)} - {name}
    assert sum(map(len, graph.values())) > 100
    TopologicalSorter(graph).prepare()
