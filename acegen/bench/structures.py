"""Benchmark structures: a perturbed crystal of the elements of a potential, of about the size asked for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

LATTICES = {"sc": 1, "bcc": 2, "fcc": 4, "diamond": 8}  # atoms of the cubic cell
RATTLE = 0.05  # angstrom, standard deviation of every coordinate
_DIAMOND = ("C", "Si", "Ge", "Sn")


@dataclass(frozen=True, slots=True)
class Crystal:
    """A cubic lattice and its constant in angstrom."""

    lattice: str
    constant: float

    def __str__(self) -> str:
        return f"{self.lattice} {self.constant:.3f} A"


def choose_crystal(symbols: Sequence[str], lattice: str | None = None, constant: float | None = None) -> Crystal:
    """Crystal of the elements: reference structure and the mean of their volumes per atom.

    One element has its reference structure (hcp and rarer ones become fcc; carbon is diamond); elements that share
    one keep it; two different ones make a bcc solution, three or more an fcc one.

    Raises:
        InputError: unknown lattice, impossible constant, or no reference volume for an element.
    """
    if lattice is not None and lattice not in LATTICES:
        raise InputError(f"--lattice: expected one of {', '.join(LATTICES)}, found {lattice!r}")
    kinds = {_reference_lattice(symbol) for symbol in symbols}
    usual = kinds.pop() if len(kinds) == 1 else "bcc" if len(symbols) == 2 else "fcc"
    chosen = lattice or (usual if usual in LATTICES else "fcc")
    if constant is None:
        volume = float(np.mean([_reference_volume(symbol) for symbol in symbols]))
        constant = round((LATTICES[chosen] * volume) ** (1 / 3), 6)
    if not 0.5 < constant < 100.0:
        raise InputError(f"--lattice-constant: expected a length in angstrom between 0.5 and 100, found {constant:g}")
    return Crystal(chosen, constant)


def build_structure(
    symbols: Sequence[str], crystal: Crystal, n_atoms: int, seed: int = 1, rattle: float = RATTLE
) -> Atoms:
    """Periodic supercell of about `n_atoms`, elements at random in equal shares, positions rattled.

    Args:
        symbols: elements of the potential.
        crystal: from `choose_crystal`.
        n_atoms: wanted number; the nearest that a nearly cubic supercell has.
        seed: of occupation and rattle.
        rattle: angstrom, standard deviation of every coordinate.
    """
    from ase.build import bulk

    if n_atoms < 1:
        raise InputError(f"--atoms: expected a number >= 1, found {n_atoms}")
    repeats = _repeats(n_atoms / LATTICES[crystal.lattice])
    atoms: Atoms = bulk(symbols[0], crystal.lattice, a=crystal.constant, cubic=True) * repeats
    stream = np.random.Generator(np.random.Philox(seed))
    shares = np.resize(np.arange(len(symbols)), len(atoms))
    atoms.symbols = [symbols[k] for k in stream.permutation(shares)]
    atoms.positions += rattle * stream.standard_normal((len(atoms), 3))
    return atoms


def _repeats(cells: float) -> tuple[int, int, int]:
    """Three repetitions whose product is near `cells`, sides as equal as possible."""
    around = max(1.0, cells) ** (1 / 3)
    sides = range(max(1, math.floor(0.6 * around)), math.ceil(1.7 * around) + 1)

    def badness(sides: tuple[int, int, int]) -> tuple[float, int]:
        return 4.0 * abs(math.log(math.prod(sides) / cells)) + 0.5 * math.log(max(sides) / min(sides)), max(sides)

    return min(itertools.combinations_with_replacement(sides, 3), key=badness)


def _reference_lattice(symbol: str) -> str:
    from ase.data import atomic_numbers, reference_states

    if symbol in _DIAMOND:
        return "diamond"
    state = reference_states[atomic_numbers[symbol]] or {}
    return str(state.get("symmetry", "fcc"))


def _reference_volume(symbol: str) -> float:
    """Volume per atom (cubic angstrom) of the reference crystal, else of spheres of the covalent radius."""
    from ase.data import atomic_numbers, covalent_radii, reference_states

    number = atomic_numbers[symbol]
    state: dict[str, Any] = reference_states[number] or {}
    a = state.get("a")
    if symbol == "C":
        return 3.567**3 / 8
    if isinstance(a, float | int) and state.get("symmetry") in LATTICES:
        return float(a) ** 3 / LATTICES[str(state["symmetry"])]
    if isinstance(a, float | int) and state.get("symmetry") == "hcp":
        return math.sqrt(3.0) / 4 * float(a) ** 3 * float(state.get("c/a", 1.633))
    return 4 * math.sqrt(2.0) * float(covalent_radii[number]) ** 3
