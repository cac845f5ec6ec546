"""The house stands on its floors: modules import only from below, and the two towers never meet before the top."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "acegen"

# The compiler's tower (C), the runtime's tower (R), and the ground and roof they share.
FLOORS = {
    "errors": (0, "CR"),
    "aside": (1, "CR"),
    "xyz": (1, "CR"),
    "manifest": (0, "CR"),
    "names": (0, "C"),
    "embeddings": (0, "CR"),
    "record": (0, "CR"),
    "sources": (0, "CR"),
    "potential": (0, "C"),
    "uncertainty": (1, "CR"),
    "maths": (1, "C"),
    "spec": (1, "C"),
    "pace": (2, "C"),
    "interpreter": (1, "C"),
    "basis": (2, "C"),
    "linear": (3, "C"),
    "inputs": (4, "C"),
    "program": (3, "C"),
    "plan": (4, "C"),
    "emit": (5, "C"),
    "build": (4, "R"),
    "testing": (5, "R"),
    "compiler": (6, "C"),
    "runtime": (6, "R"),
    "loader": (7, "CR"),
    "__init__": (8, "CR"),
    "bench": (8, "CR"),
    "fitting": (8, "CR"),
    "cli": (9, "CR"),
    "__main__": (10, "CR"),
}

# Libraries beyond Python's own, and the only units that may import them.
LIBRARIES = {
    "numpy": set(FLOORS)
    - {"errors", "aside", "sources", "xyz", "manifest", "build", "spec", "loader", "__init__", "__main__"},
    "sympy": {"maths", "plan", "emit"},
    "mpmath": {"maths"},
    "yaml": {"spec", "pace"},
    "jinja2": {"emit"},
    "ase": {"pace", "linear", "runtime", "fitting", "cli", "bench"},
    "vesin": {"runtime"},
    "cffi": {"runtime", "bench"},
    "cupy": {"runtime"},
    "scipy": {"uncertainty", "fitting"},
    "platformdirs": {"build"},
    "pyace": {"bench"},
    "jax": {"bench"},
    "ace_jax": {"bench"},
    "matplotlib": {"bench", "fitting"},
}

MODULES = sorted(ROOT.rglob("*.py"))


def unit_of(module: str) -> str:
    """The unit a module of acegen belongs to: "acegen.maths.radial" -> "maths", "acegen" -> "__init__"."""
    return [*module.split("."), "__init__"][1]


def imports(path: Path) -> set[str]:
    """Absolute names of the modules a file imports, anywhere in it, but for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for child in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            whole = module == "acegen" or (ROOT / "/".join(module.split(".")[1:])).is_dir()
            found.update(f"{module}.{alias.name}" if whole else module for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_downward_and_within_its_tower(path: Path) -> None:
    mine = path.relative_to(ROOT).with_suffix("").parts[0]
    floor, tower = FLOORS[mine]
    for name in imports(path):
        if name.split(".")[0] != "acegen":
            continue
        other = unit_of(name) if unit_of(name) in FLOORS else "__init__"  # else a name that acegen itself exports
        if other == mine:
            continue
        below, its_tower = FLOORS[other]
        assert below < floor, f"{mine} (floor {floor}) imports {name} (floor {below})"
        assert set(tower) <= set(its_tower) or floor >= FLOORS["loader"][0], f"{mine} imports {name} of the other tower"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_libraries_are_imported_only_where_they_belong(path: Path) -> None:
    mine = path.relative_to(ROOT).with_suffix("").parts[0]
    for name in imports(path):
        top = name.split(".")[0]
        if top != "acegen" and top not in sys.stdlib_module_names:
            assert mine in LIBRARIES.get(top, set()), f"{mine} imports {top}"
