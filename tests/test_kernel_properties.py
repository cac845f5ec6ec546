"""What holds for every potential: derivatives, symmetries, and independence of how a structure is handed over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import ase
import numpy as np
import pytest
from cases import CASES, Case, make_case
from derivatives import directional
from kernels import Kernels
from structures import centres, cluster, edge_vectors, lattice, rotation, worst

import acegen
from acegen import GraphBatch
from acegen.runtime.evaluation import Evaluation

ALL = ("energy", "energies", "forces", "virial", "virials", "basis")
FINITE_DIFFERENCE = 1e-8
ROUNDING = 1e-12  # moved or turned structures: distances change in the last place
ORDER = 1e-13  # the same distances, summed in another order
SAME = 1e-14
STEP = 1e-4  # angstrom; short, because second derivatives jump where an edge crosses its cutoff


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, kernels: Kernels, spec_folder: Path) -> Case:
    return make_case(request.param, request, kernels, spec_folder)


def assert_same(found: Evaluation, expected: Evaluation, limit: float, names: tuple[str, ...] = ALL) -> None:
    """Every array up to `limit` of its largest number; an energy, which may be close to zero, of its atoms'."""
    for name in names:
        here, there = getattr(found, name), getattr(expected, name)
        if name == "energy":
            here, there = (np.append(total, np.abs(expected.energies).sum()) for total in (here, there))
        assert worst(here, there) <= limit, name


def displaced(case: Case, atoms: ase.Atoms, i: int, x: int, offsets: list[float]) -> np.ndarray:
    """Site energies [n_offsets, n_atoms] with coordinate x of atom i moved."""
    moved = [atoms.copy() for _ in offsets]
    for each, offset in zip(moved, offsets, strict=True):
        each.positions[i, x] += offset
    return case.model.evaluate(moved, "energies").energies.reshape(len(offsets), -1)


def strained(case: Case, graph: GraphBatch, a: int, b: int, offsets: list[float]) -> np.ndarray:
    """Site energies [n_offsets, n_atoms] with component a of every edge vector raised by offset times component b."""
    rows, vectors = [], edge_vectors(graph)
    for offset in offsets:
        changed = vectors.copy()
        changed[:, a] += offset * vectors[:, b]
        rows.append(case.model.evaluate(from_vectors(graph, changed), "energies").energies)
    return np.array(rows)


def test_forces_are_minus_the_gradient(case: Case) -> None:
    """Of the total energy with respect to every coordinate of the first atoms."""
    for atoms in case.structures:
        forces = case.model.evaluate(atoms).forces
        for i, x in np.ndindex(min(len(atoms), 6), 3):
            slope = directional(partial(displaced, case, atoms, i, x), STEP).sum()  # by sites: less cancellation
            assert abs(slope + forces[i, x]) <= FINITE_DIFFERENCE * np.abs(forces).max()


def test_virials_are_strain_derivatives(case: Case) -> None:
    """virials[i, a, b] = -dE_i/d(strain_ab) at fixed edges, and they sum to the virial."""
    for atoms in case.structures:
        graph = GraphBatch.from_atoms(atoms, case.model, skin=0.5)
        out = case.model.evaluate(graph, ALL)
        found = np.empty((len(atoms), 3, 3))
        for a, b in np.ndindex(3, 3):
            found[:, a, b] = -directional(partial(strained, case, graph, a, b), STEP / 4.0)
        assert np.abs(found - out.virials).max() <= FINITE_DIFFERENCE * np.abs(out.virials).max()
        assert worst(out.virials.sum(axis=0), out.virial[0]) <= ORDER


def from_vectors(graph: GraphBatch, vectors: np.ndarray) -> GraphBatch:
    """The same edges with other vectors."""
    return GraphBatch.from_arrays(
        species=graph.species, first_edge=graph.first_edge, edge_to=graph.edge_to, edge_vectors=vectors
    )


def test_rotation_and_reflection(case: Case) -> None:
    """Energies and basis stay, forces and virials turn along."""
    for atoms in case.structures:
        expected = case.model.evaluate(atoms, ALL)
        for matrix in (rotation(1), -rotation(2)):
            turned = ase.Atoms(
                atoms.symbols, atoms.positions @ matrix.T, cell=atoms.cell.array @ matrix.T, pbc=atoms.pbc
            )
            found = case.model.evaluate(turned, ALL)
            assert_same(found, expected, ROUNDING, ("energy", "energies", "basis"))
            assert worst(found.forces @ matrix, expected.forces) <= ROUNDING
            assert worst(matrix.T @ found.virial @ matrix, expected.virial) <= ROUNDING
            assert worst(matrix.T @ found.virials @ matrix, expected.virials) <= ROUNDING


def test_translation(case: Case) -> None:
    """Moving everything, and wrapping atoms back into the cell, changes nothing; forces sum to zero."""
    for atoms in case.structures:
        expected = case.model.evaluate(atoms, ALL)
        moved = atoms.copy()
        moved.positions += (1.7, -3.1, 0.4)
        moved.wrap()
        assert_same(case.model.evaluate(moved, ALL), expected, ROUNDING)
        assert np.abs(expected.forces.sum(axis=0)).max() <= ORDER * np.abs(expected.forces).sum()


def test_permutation_of_atoms(case: Case) -> None:
    for atoms in case.structures:
        order = np.random.Generator(np.random.Philox(1)).permutation(len(atoms))
        expected, found = case.model.evaluate(atoms, ALL), case.model.evaluate(atoms[order], ALL)
        for name in ALL:
            values = getattr(expected, name)
            assert worst(getattr(found, name), values[order] if len(values) == len(atoms) else values) <= ORDER, name


def test_permutation_of_edges(case: Case) -> None:
    """Any order of the edges gives the same, and the gradients of edges come back in that order."""
    names = (*ALL, "edge_gradients")
    for atoms in case.structures:
        graph = GraphBatch.from_atoms(atoms, case.model)
        expected = case.model.evaluate(graph, names)
        order = np.random.Generator(np.random.Philox(2)).permutation(graph.n_edges)
        shuffled = GraphBatch.from_arrays(
            species=graph.species,
            positions=graph.positions,
            edge_from=centres(graph)[order].astype(np.int32),
            edge_to=graph.edge_to[order],
            shifts=None if graph.shifts is None else graph.shifts[graph.edge_shift][order],
        )
        found = case.model.evaluate(shuffled, names)
        assert_same(found, expected, ORDER)
        assert worst(found.edge_gradients, expected.edge_gradients[order]) <= ORDER


def test_edge_vectors_instead_of_positions(case: Case) -> None:
    for atoms in case.structures:
        graph = GraphBatch.from_atoms(atoms, case.model)
        found = case.model.evaluate(from_vectors(graph, edge_vectors(graph)), ALL)
        assert_same(found, case.model.evaluate(graph, ALL), ORDER)


def test_forces_are_collected_edge_gradients(case: Case) -> None:
    """F_i += g_ij, F_j -= g_ij, W_i = -sum g_ij (x) r_ij."""
    atoms = case.structures[0]
    graph = GraphBatch.from_atoms(atoms, case.model, skin=0.4)
    out = case.model.evaluate(graph, ("forces", "virials", "edge_gradients"))
    vectors, owner = edge_vectors(graph), centres(graph)
    forces, virials = np.zeros((len(atoms), 3)), np.zeros((len(atoms), 3, 3))
    np.add.at(forces, owner, out.edge_gradients)
    np.subtract.at(forces, graph.edge_to, out.edge_gradients)
    np.subtract.at(virials, owner, out.edge_gradients[:, :, None] * vectors[:, None, :])
    assert worst(forces, out.forces) <= ORDER
    assert worst(virials, out.virials) <= ORDER
    cutoffs = case.model.cutoffs[graph.species[owner], graph.species[graph.edge_to]]
    assert not out.edge_gradients[np.linalg.norm(vectors, axis=1) >= cutoffs].any()


def test_site_entry_equals_batched_entry(case: Case) -> None:
    """model.site: energy and gradient of each centre."""
    for atoms in case.structures:
        graph = GraphBatch.from_atoms(atoms, case.model, skin=0.3)
        out = case.model.evaluate(graph, ("energies", "edge_gradients"))
        vectors = edge_vectors(graph)
        for i in range(min(len(atoms), 8)):
            own = slice(graph.first_edge[i], graph.first_edge[i + 1])
            energy, gradient = case.model.site(int(graph.species[i]), graph.species[graph.edge_to[own]], vectors[own])
            assert abs(energy - out.energies[i]) <= ORDER * np.abs(out.energies).max()
            assert np.abs(gradient - out.edge_gradients[own]).max() <= ORDER * np.abs(out.edge_gradients).max()


def test_batch_equals_one_by_one(case: Case) -> None:
    """Structures of every small size, so that vectors of all lane counts and tails occur."""
    batch = [lattice(case.model, repeats, k) for k, repeats in enumerate(((1, 1, 1), (2, 1, 1), (3, 1, 1), (5, 1, 1)))]
    batch += [cluster(case.model, 7, (3, 3, 1)), *case.structures]
    together = case.model.evaluate(batch, ALL)
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in batch])])
    for k, atoms in enumerate(batch):
        alone = case.model.evaluate(atoms, ALL)
        for name in ALL:
            rows = slice(k, k + 1) if name in ("energy", "virial") else slice(first[k], first[k + 1])
            assert worst(getattr(together, name)[rows], getattr(alone, name)) <= SAME, name


def test_threads_and_repetition(case: Case) -> None:
    """One, two and three threads agree; the same call gives the same bits."""
    atoms = lattice(case.model, (5, 5, 4), 4)
    graph = GraphBatch.from_atoms(atoms, case.model)
    expected = case.model.evaluate(graph, ALL)
    for threads in (1, 2, 3):
        model = acegen.load(case.bundle, threads=threads)
        found, again = model.evaluate(graph, ALL), model.evaluate(graph, ALL)
        assert_same(found, expected, SAME)
        for name in ALL:
            assert np.array_equal(getattr(found, name), getattr(again, name)), name


def test_skin_changes_nothing(case: Case) -> None:
    """Edges beyond the cutoff are filtered in the kernel."""
    for atoms in case.structures:
        expected = case.model.evaluate(GraphBatch.from_atoms(atoms, case.model), ALL)
        found = case.model.evaluate(GraphBatch.from_atoms(atoms, case.model, skin=0.7), ALL)
        assert_same(found, expected, ORDER)


def test_each_property_alone(case: Case) -> None:
    """What else is asked for never changes a number."""
    graph = GraphBatch.from_atoms(list(case.structures), case.model)
    names = (*ALL, "edge_gradients")
    together = case.model.evaluate(graph, names)
    for name in names:
        assert np.array_equal(getattr(case.model.evaluate(graph, name), name), getattr(together, name)), name


def test_calls_from_several_python_threads(case: Case) -> None:
    """One model, many callers: no globals, scratch memory of their own."""
    graphs = [GraphBatch.from_atoms(atoms, case.model) for atoms in case.structures] * 8
    expected = [case.model.evaluate(graph, ALL) for graph in graphs[: len(case.structures)]]
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda graph: case.model.evaluate(graph, ALL), graphs))
    for k, out in enumerate(found):
        for name in ALL:
            assert np.array_equal(getattr(out, name), getattr(expected[k % len(expected)], name)), name
