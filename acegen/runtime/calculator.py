"""ASE calculator of a model, with neighbour lists reused while they are provably complete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.neighbours import farthest_move

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.loaded import LoadedModel

_CHEAP = ("energy", "energies", "forces", "virial")
_ALWAYS = ("energy", "free_energy", "energies", "forces", "stress", "stresses")
_DEVIATIONS = ("energy_std", "forces_std")
_ON_REQUEST = ("gamma", *_DEVIATIONS)


class AceCalculator(Calculator):
    """energy, free_energy, energies, forces, stress and stresses of an ACE model; made by `Model.calculator`.

    stress is -virial/volume in eV/A^3, Voigt xx yy zz yz xz xy; stresses are those of each centre and sum to it.
    On request: `gamma` [n_atoms] of a model with an active set, `energy_std` and `forces_std` of one with a
    committee: `calculator.get_property("gamma", atoms)`.
    """

    name = "acegen"

    def __init__(self, model: LoadedModel, skin: float = 0.5) -> None:
        if not (isinstance(skin, int | float) and 0.0 <= skin < math.inf):
            raise InputError(f"skin: expected a length in angstrom >= 0, found {skin!r}")
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.skin = float(skin)
        self._list_of = model, self.skin
        self.n_lists = 0  # neighbour lists built so far
        self._numbers: Any = None
        self._graph: GraphBatch | None = None
        self._results_of = _state(model)

    @property
    def implemented_properties(self) -> list[str]:  # type: ignore[override]  # a list in ASE, but models change
        """Names that ASE may ask for."""
        graded = ("gamma",) if self.model.active_sets is not None else ()
        return [*_ALWAYS, *graded, *(_DEVIATIONS if self.model.members is not None else ())]

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the results were made (ASE asks this): the structure, or the weights of the model.

        Exact, whatever `tol`, and only of what the model depends on: ASE's own comparison of 2,000 atoms takes 1 ms.
        """
        last: Any = self.atoms
        if last is None:
            return [*all_changes]
        changes = [name for name in ("positions", "numbers", "cell", "pbc") if _differ(last, atoms, name)]
        if any(one is not other for one, other in zip(self._results_of, _state(self.model), strict=True)):
            return [*changes, "weights"]
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate `atoms` (ASE calls this); everything cheap is kept, the rest only when asked for."""
        if atoms is not None:
            self.atoms = atoms.copy()  # type: ignore[no-untyped-call]
        now: Any = self.atoms
        graph = self._current_graph(now)
        wanted = (*_CHEAP, "virials") if "stresses" in properties else _CHEAP
        asked = [name for name in _ON_REQUEST if name in properties]
        self._results_of = _state(self.model)
        out = self.model.evaluate(graph, (*wanted, *asked) if asked else wanted)
        energy = float(out.energy[0])
        self.results = {"energy": energy, "free_energy": energy, "energies": out.energies, "forces": out.forces}
        for name in asked:
            self.results[name] = float(out.energy_std[0]) if name == "energy_std" else getattr(out, name)
        volume = abs(_determinant(now.cell.array.tolist())) if now.pbc.all() else 0.0
        if volume > 0.0:
            self.results["stress"] = _voigt(out.virial[0] / -volume)
            if "stresses" in properties:
                self.results["stresses"] = _voigt(out.virials / -volume)
        elif "stress" in properties or "stresses" in properties:
            raise PropertyNotImplementedError(
                f"stress needs a cell that is periodic in three directions, found pbc {now.pbc.tolist()}"
            )

    def _current_graph(self, atoms: Atoms) -> GraphBatch:
        """The last graph moved along, or a new one when its list may have become incomplete."""
        last = self._graph
        if (
            last is not None
            and self._list_of == (self.model, self.skin)
            and np.array_equal(self._numbers, atoms.numbers)
            and self._complete(last, atoms)
        ):
            if not np.array_equal(last.cells[0], atoms.cell.array):
                return last.moved(atoms.positions, atoms.cell.array)  # checked by _complete
            return last.replaced(positions=np.array(atoms.positions, np.float64, order="C"))
        self._graph = GraphBatch.from_atoms(atoms, self.model, self.skin)
        self._numbers = atoms.numbers.copy()
        self._list_of = self.model, self.skin  # both may be set anew between calls
        self.n_lists += 1
        return self._graph

    def _complete(self, last: GraphBatch, atoms: Atoms) -> bool:
        """True when no pair outside the list of `last` can have come within the cutoff.

        With the cell strained by F, r = r0 F + u: a pair that was at least cutoff + skin apart is now at least
        smallest singular value(F) (cutoff + skin) - 2 max|u - mean u| apart. Images move with the same u.
        """
        positions = last.positions
        if positions is None or not np.array_equal(last.pbc[0], atoms.pbc):
            return False
        strain = _strain(last, atoms)
        if strain is None:
            return False
        stretch = 1.0
        if strain is not _NO_STRAIN:
            if not (np.isfinite(atoms.positions).all() and np.isfinite(strain).all()):
                return False
            positions = np.ascontiguousarray(positions @ strain)
            stretch = float(np.linalg.svd(strain, compute_uv=False)[-1])
        reach = stretch * (self.model.cutoff + self.skin) - 2.0 * farthest_move(atoms.positions, positions)
        return reach >= self.model.cutoff * (1.0 + 1e-12)  # False where a position is not a number


def _state(model: LoadedModel) -> tuple[object, ...]:
    """What results depend on beside the structure, to be compared by identity."""
    return model, model.coefficients, model.active_sets, model.members


_NO_STRAIN: FloatArray = np.eye(3)


def _differ(one: Atoms, other: Atoms, name: str) -> bool:
    return not np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))


def _determinant(cell: list[list[float]]) -> float:
    """Of [3, 3]; NumPy takes many times as long for nine numbers."""
    (a, b, c), (d, e, f), (g, h, i) = cell
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _voigt(tensor: FloatArray) -> FloatArray:
    """xx yy zz yz xz xy of [..., 3, 3], off-diagonal entries averaged."""
    symmetric = 0.5 * (tensor + np.swapaxes(tensor, -1, -2))
    return symmetric[..., (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]


def _strain(last: GraphBatch, atoms: Atoms) -> FloatArray | None:
    """F with old cell · F = new cell; None when the cells of a partly periodic structure differ."""
    if not atoms.pbc.any() or np.array_equal(last.cells[0], atoms.cell.array):
        return _NO_STRAIN
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        return None
    return np.linalg.solve(last.cells[0], atoms.cell.array)
