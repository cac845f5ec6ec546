"""Forces and virial of `acegen verify` against extrapolated finite differences, and smoothness at the cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acegen.cli.verify_checks import Check, Subject, largest
from acegen.cli.verify_structures import Structure, at_cutoff
from acegen.runtime.arrays import FloatArray

_LEVELS = 5  # of each of two sequences of steps
_LONGEST = 0.006  # angstrom: first of the steps, halved _LEVELS - 1 times; cutoffs are further away (structures)
_COMPONENTS = 18  # derivatives per structure
_ATOMS = 40_000  # atoms evaluated per structure for its differences, at most (large given structures)
_LIMIT = 1e-8
_DOUBT = 1e-9  # a difference that is not known better than this (a pair crosses a cutoff) says nothing


@dataclass(slots=True)
class _Worst:
    """Largest error over the derivatives that could be resolved."""

    name: str
    error: float = 0.0
    n: int = 0
    n_resolved: int = 0

    def add(self, found: FloatArray, doubt: FloatArray, expected: FloatArray, scale: float) -> None:
        """Compare; all arrays flat."""
        good = ~(doubt > _DOUBT * scale)  # nan counts as good: it must fail below
        self.n += len(good)
        self.n_resolved += int(good.sum())
        error = largest((found - expected)[good]) / scale
        self.error = error if not error <= self.error else self.error

    def check(self) -> Check:
        """Line of the table."""
        missing = self.n - self.n_resolved
        note = (
            f"{missing} of {self.n} not resolved (at a jump of the curvature: cutoff, spline knot)" if missing else ""
        )
        return Check(self.name, self.error if self.n_resolved or not self.n else None, _LIMIT, note)


JUMPS = "the potential itself jumps by"  # opens the note of a check that the potential, not the kernel, spoils


def finite_differences(subject: Subject) -> list[Check]:
    """Every force and virial component is the derivative of the energy."""
    forces, virial = _Worst("finite differences: forces"), _Worst("finite differences: virial")
    start = 0
    for s, structure in enumerate(subject.structures):
        n = len(structure.species)
        if n > 1:
            chosen, found, doubt = _forces(subject, structure)
            expected = subject.base.forces[start : start + n].ravel()[chosen]
            forces.add(found, doubt, expected, subject.largest_force)
            found, doubt = _virial(subject, structure)
            virial.add(found, doubt, subject.base.virial[s].T.ravel(), subject.largest_virial)
        start += n
    return [forces.check(), virial.check()]


def too_coarse(subject: Subject) -> list[Check]:
    """What finite differences would be of, in single precision."""
    del subject
    note = "energies in single precision are too coarse, --precision float64 checks it"
    return [
        Check("finite differences: forces, virial", None, _LIMIT, note),
        Check("smooth at the cutoff: energy, forces", None, _LIMIT, note),
    ]


def _forces(subject: Subject, structure: Structure) -> tuple[np.ndarray, FloatArray, FloatArray]:
    """Components looked at (of the flattened forces), -dE/dx there, and its uncertainty."""
    n = len(structure.species)
    room = max(3, min(_COMPONENTS, _ATOMS // (4 * _LEVELS * n)))
    chosen = np.unique(np.linspace(0, 3 * n - 1, min(room, 3 * n)).astype(np.int64))
    steps = _halved(_LONGEST)
    moved = []
    for component in chosen:
        for step in (steps[:, None] * np.array([1.0, -1.0])).ravel():
            positions = structure.positions.copy()
            positions.reshape(-1)[component] += step
            moved.append(structure.moved(positions))
    slopes, doubt = _derivatives(subject, moved, steps)
    return chosen, -slopes, doubt


def _virial(subject: Subject, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """-dE/de_ab [9] for positions and cell times (1 + e), which is W_ba, and its uncertainty."""
    steps = _halved(_LONGEST / subject.model.cutoff)
    strained = []
    for component in range(9):
        for step in (steps[:, None] * np.array([1.0, -1.0])).ravel():
            matrix = np.eye(3)
            matrix[component // 3, component % 3] += step
            strained.append(structure.mapped(matrix))
    slopes, doubt = _derivatives(subject, strained, steps)
    return -slopes, doubt


def _halved(first: float) -> FloatArray:
    """Step lengths [2 * _LEVELS]: two interleaved sequences, each halved."""
    return np.array([first * 0.5 ** (0.5 * level) for level in range(2 * _LEVELS)])


def _derivatives(subject: Subject, structures: Sequence[Structure], steps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Extrapolated central differences; structures in the order [derivative, step, sign]."""
    n = len(structures[0].species)
    energies = subject.model.evaluate(subject.graph(structures), ("energies",)).energies
    pairs = energies.reshape(-1, len(steps), 2, n)
    # site by site: what does not change cancels before the sum can round
    slopes = (pairs[:, :, 0] - pairs[:, :, 1]).sum(axis=2) / (2.0 * steps)
    one, two = _extrapolated(slopes[:, ::2]), _extrapolated(slopes[:, 1::2])
    # near a jump of the curvature one sequence may agree with itself by chance, hardly both with each other
    doubt = np.maximum(np.maximum(one[1], two[1]), np.abs(one[0] - two[0]))
    return np.where(one[1] < two[1], one[0], two[0]), doubt


def _extrapolated(slopes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Limit and uncertainty of central differences [n, levels] with halved steps, by Ridders' method.

    Of the whole extrapolation table the entry is taken whose neighbours agree best.
    Piecewise formulas (splines, tables) have jumps in high derivatives; small steps then beat high orders.
    """
    best, error = slopes[:, -1].copy(), np.full(len(slopes), np.inf)
    before = slopes[:, :1]
    for level in range(1, slopes.shape[1]):
        row = [slopes[:, level]]
        for order in range(1, level + 1):
            better = row[-1] + (row[-1] - before[:, order - 1]) / (4.0**order - 1.0)
            doubt = np.maximum(np.abs(better - row[-1]), np.abs(better - before[:, order - 1]))
            take = doubt < error
            best[take], error[take] = better[take], doubt[take]
            row.append(better)
        before = np.stack(row, axis=1)
    return best, error


def smoothness(subject: Subject) -> list[Check]:
    """Energy and forces are continuous where an atom crosses a cutoff: limits from inside equal values outside."""
    cutoffs = subject.model.cutoffs
    pairs = [(a, b) for a in range(len(cutoffs)) for b in range(len(cutoffs))]
    places = (2e-6, 1e-6, -1e-13)  # relative to the cutoff
    structures = [at_cutoff(cutoffs, a, b, below) for a, b in pairs for below in places]
    out = subject.model.evaluate(subject.graph(structures), ("energies", "forces"))
    jumps = _jumps(out.energies, out.forces, len(pairs))
    limits = 1e-8, 1e-7
    own = (0.0, 0.0)
    if subject.compiled is not None and any(
        jump > limit * scale for jump, limit, scale in zip(jumps, limits, (1.0, subject.largest_force), strict=True)
    ):
        own = _reference_jumps(subject, structures, len(pairs))
    checks = []
    for name, jump, limit, scale, mine in zip(
        ("energy", "forces"), jumps, limits, (1.0, subject.largest_force), own, strict=True
    ):
        belongs = mine > limit * scale and abs(mine - jump) <= 1e-6 * mine
        note = f"{JUMPS} {mine:.1e}" if belongs else ""
        checks.append(Check(f"smooth at the cutoff: {name}", None if belongs else jump / scale, limit, note))
    return checks


def _reference_jumps(subject: Subject, structures: Sequence[Structure], n_pairs: int) -> tuple[float, float]:
    from acegen.interpreter.evaluate import interpret

    assert subject.compiled is not None  # the caller knows
    exact = subject.compiled.source.exact
    found = [interpret(exact, s.species, s.positions, s.cell, s.pbc) for s in structures]
    return _jumps(
        np.concatenate([one.energies for one in found]), np.concatenate([one.forces for one in found]), n_pairs
    )


def _jumps(energies: FloatArray, forces: FloatArray, n_pairs: int) -> tuple[float, float]:
    """Largest jumps of energies and forces; linear extrapolation to the cutoff from inside."""
    out = []
    for values in (energies.reshape(n_pairs, 3, 4), forces.reshape(n_pairs, 3, 12)):
        far, near, outside = values[:, 0], values[:, 1], values[:, 2]
        out.append(largest(2.0 * near - far - outside))
    return out[0], out[1]
