"""Symmetries of `acegen verify`: rotation, reflection, translation, permutation of energies, forces and basis."""

from __future__ import annotations

import numpy as np

from acegen.cli.verify_checks import SINGLE_FORCES, Check, Subject, worst_of
from acegen.cli.verify_structures import Structure, rotation
from acegen.runtime.arrays import FloatArray

_ENERGY, _FORCES, _BASIS = 1e-12, 1e-11, 1e-12


def invariance(subject: Subject) -> list[Check]:
    """Four symmetries, energies, forces and rows of B together; the worst of each."""
    turn = rotation(3)
    reflect = rotation(5) @ np.diag([1.0, 1.0, -1.0])
    shift = np.array([0.37, -1.91, 5.03])
    identity = np.eye(3)
    cases = (
        ("rotation", [s.mapped(turn) for s in subject.structures], turn, _same(subject)),
        ("reflection", [s.mapped(reflect) for s in subject.structures], reflect, _same(subject)),
        ("translation", [s.mapped(identity, shift) for s in subject.structures], identity, _same(subject)),
        ("permutation", *_permuted(subject, identity)),
    )
    checks, basis = [], []
    for name, structures, matrix, order in cases:
        out = subject.model.evaluate(subject.graph(structures), ("energies", "forces", "basis"))
        base = subject.base
        checks.append(subject.energies_check(name, out.energies, base.energies[order], _ENERGY))
        checks.append(subject.forces_check(name, out.forces, base.forces[order] @ matrix, _FORCES))
        basis.append(subject.basis_error(out.basis, base.basis[order]))
    limit = subject.limit(_BASIS, SINGLE_FORCES)
    return [*checks, Check("basis invariant under all four", worst_of(basis), limit)]


def _same(subject: Subject) -> np.ndarray:
    return np.arange(subject.base_graph.n_atoms)


def _permuted(subject: Subject, identity: FloatArray) -> tuple[list[Structure], FloatArray, np.ndarray]:
    """Atoms of every structure in another order; the order through the batch."""
    random = np.random.Generator(np.random.PCG64(17))
    structures, orders, start = [], [], 0
    for structure in subject.structures:
        order = np.argsort(random.uniform(size=len(structure.species)))
        structures.append(structure.permuted(order))
        orders.append(order + start)
        start += len(order)
    return structures, identity, np.concatenate(orders)
