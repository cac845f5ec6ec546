"""Stage 1, the door: any input file -> Potential, whatever kind of file it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from acegen.basis.coupled import enumerate_potential
from acegen.basis.size import check_size
from acegen.basis.tabulate import tabulate
from acegen.errors import SpecError
from acegen.linear.ace_jax import read_ace_jax
from acegen.linear.acepotentials import read_acepotentials
from acegen.pace.read import read_pace
from acegen.potential import Potential
from acegen.spec.files import is_pace_text
from acegen.spec.read import read_spec

# keys of potentials at the top level, which no specification has
_YACE_KEY = re.compile(r"^\{?[\"']?(functions|embeddings)[\"']?\s*:", re.MULTILINE)
_BBASIS_KEY = re.compile(r"^\{?[\"']?(deltaSplineBins)[\"']?\s*:", re.MULTILINE)
SUFFIXES = (".yace", ".ace", ".yaml", ".yml", ".npz", ".json")
_LINEAR = {".npz": read_ace_jax, ".json": read_acepotentials}


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A read input: the exact potential, the one to compile (tables in place of formulas where asked)."""

    exact: Potential
    potential: Potential
    precision: str  # default arithmetic: what a specification asks for, else "float64"
    tables: tuple[tuple[str, float], ...]  # (bond and family, measured error) of certified tables


def read_input(path: Path) -> Input:
    """Read a basis specification, a fitted PACE potential or a fitted linear model of another program.

    Raises:
        SpecError, PotentialError: the file breaks a rule.
    """
    if path.suffix not in SUFFIXES:
        raise SpecError(f"{path}: unknown kind of input {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    if path.suffix in _LINEAR:
        potential = _LINEAR[path.suffix](path)
        return Input(potential, potential, "float64", ())
    if path.suffix in (".yace", ".ace") or _is_pace_yaml(path):
        potential = read_pace(path)
        return Input(potential, potential, "float64", ())
    spec = read_spec(path)
    exact = enumerate_potential(spec)
    potential, tables = tabulate(exact, spec)
    return Input(exact, potential, spec.precision, tables)


def count_functions(path: Path) -> int:
    """Functions per species of a specification, counted in a second, before any is enumerated; 0 for other inputs.

    Raises:
        SpecError: the file breaks a rule, or has more functions than it allows.
    """
    if path.suffix not in (".yaml", ".yml") or _is_pace_yaml(path):
        return 0
    return check_size(read_spec(path))


def _is_pace_yaml(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not UTF-8 text (byte {error.start}), expected a YAML file") from error
    if is_pace_text(text):
        return True
    if found := _YACE_KEY.search(text):
        raise SpecError(f"{path}: {found[1]}: expected in a .yace file, found in {path.suffix!r}: rename it to .yace")
    if found := _BBASIS_KEY.search(text):
        raise SpecError(f"{path}: {found[1]}: the key of a B-basis potential, but its speciesblock entries are missing")
    return False
