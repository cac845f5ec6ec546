"""Neighbour search: the compiled one finds the pairs vesin finds, and both serve every structure."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from acegen.errors import InputError
from acegen.runtime import GraphBatch, neighbours
from acegen.runtime.neighbours import compiled_search, farthest_move


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """The compiled search is really there: without it these tests compare vesin with itself."""
    assert compiled_search() is not None


def keys(graph):
    """Rows (centre, neighbour, cell multiples) of all edges, sorted."""
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    multiples = np.zeros((graph.n_edges, 3), int)
    if graph.shifts is not None:
        owner = np.repeat(np.arange(graph.n_systems), np.diff(graph.first_atom))
        assert (graph.shift_system[graph.edge_shift] == owner[centres]).all()
        multiples = graph.shift_multiples[graph.edge_shift]
    rows = np.column_stack([centres, graph.edge_to, multiples])
    return rows[np.lexsort(rows.T[::-1])]


def both(frames, cutoff, patch):
    """Graphs of the compiled search and of vesin."""
    compiled = GraphBatch.from_atoms(frames, cutoff, species=("H",))
    with patch.context() as without:
        without.setattr(neighbours, "compiled_search", lambda: None)
        return compiled, GraphBatch.from_atoms(frames, cutoff, species=("H",))


def random_frames(rng):
    """Up to five structures in skewed cells of either hand, atoms inside and outside of them."""
    for _ in range(rng.integers(1, 6)):
        n, length = int(rng.integers(0, 30)), rng.uniform(1.5, 12)
        cell = np.eye(3) * length + rng.normal(size=(3, 3)) * length * 0.25
        if rng.random() < 0.2:
            cell = cell[::-1]
        positions = rng.random((n, 3)) @ cell * rng.choice([1, 3]) + rng.normal() * rng.choice([0, 30])
        pbc = rng.random(3) < rng.choice([0, 0.5, 1])
        yield Atoms(numbers=np.ones(n, int), positions=positions, cell=cell, pbc=pbc)


def test_random_batches(monkeypatch):
    """Same pairs and images for any cell, boundary and cutoff, also when a cell is thinner than the cutoff."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        compiled, reference = both(list(random_frames(rng)), rng.uniform(0.5, 6), monkeypatch)
        np.testing.assert_array_equal(keys(compiled), keys(reference))
        np.testing.assert_array_equal(compiled.first_edge, reference.first_edge)
        assert (compiled.shifts is None) == (reference.shifts is None)


def test_more_edges_than_expected(monkeypatch):
    """A clump in a wide cell has far more edges than its mean density, and many shifts: the search makes room."""
    rng = np.random.default_rng(1)
    clump = Atoms("H300", rng.random((300, 3)) * 1.5, cell=[300, 300, 300], pbc=True)
    thin = Atoms("H", cell=np.diag([0.3, 0.4, 0.5]), pbc=True)
    compiled, reference = both([clump, thin], 2.7, monkeypatch)
    assert compiled.n_edges > 300 * 250 and len(compiled.shifts) > 800
    np.testing.assert_array_equal(keys(compiled), keys(reference))


def test_far_apart(monkeypatch):
    """Clusters ever so far apart, and atoms many boxes away from one another."""
    rng = np.random.default_rng(2)
    places = rng.random((40, 3)) * 4
    clusters = Atoms("H40", places + np.repeat([[0, 0, 0], [1e6, 0, 0], [0, -3e7, 0], [1e8, 5, 0]], 10, axis=0))
    drifted = bulk("H", "sc", a=2.0) * (4, 4, 4)
    drifted.positions += 8.0 * rng.integers(-300, 300, (64, 1))
    for frame in (clusters, drifted):
        compiled, reference = both(frame, 3.0, monkeypatch)
        np.testing.assert_array_equal(keys(compiled), keys(reference))
        assert compiled.n_edges > 100


def test_one_place_twice(monkeypatch):
    """Two atoms at one place are a pair; an atom and itself are none."""
    compiled, reference = both(Atoms("H3", [[0, 0, 0], [0, 0, 0], [1, 0, 0]]), 2.0, monkeypatch)
    assert compiled.n_edges == 6
    np.testing.assert_array_equal(keys(compiled), keys(reference))


def test_wrong_cells_are_named():
    """The structure of a batch whose cell cannot be is named."""
    good = bulk("H", "sc", a=2.0)
    for cell, text in (([2, 2, 0], "is True, but its cell vector is zero"), ([2, 2, 1e-3], "angstrom thin")):
        bad = Atoms("H", cell=cell, pbc=True)
        with pytest.raises(InputError, match=rf"atoms\[1\].*{text}"):
            GraphBatch.from_atoms([good, bad], 3.0, species=("H",))


def test_a_way_out_of_skewed_cells_is_named():
    """Where no shorter vectors are looked for (the search of a device), the sentence tells how to find them."""
    skewed = np.array([[3.0, 0, 0], [900.0, 3, 0], [0, 0, 3]])
    with pytest.raises(InputError, match=r"thin, expected .*; ase\.geometry\.minkowski_reduce finds shorter vectors"):
        neighbours.closed_box(skewed, np.ones(3, bool), 4.0, "atoms")
    with pytest.raises(InputError, match=r"expected at least 0.01 of the cutoff 4$"):
        neighbours.closed_box(np.diag([3.0, 3.0, 0.01]), np.ones(3, bool), 4.0, "atoms")


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, True, True)])
@pytest.mark.parametrize("times", [1_000, 1_000_000])
def test_skewed_cells(pbc, times, monkeypatch):
    """Cells far thinner than the cutoff, because skewed, have the edges of the same lattice in short vectors."""
    straight = bulk("H", "fcc", a=4.0, cubic=True)
    straight.rattle(0.1, seed=1)
    straight.pbc = pbc
    skewed, good = straight.copy(), bulk("H", "sc", a=2.0)
    skewed.cell[1] += times * skewed.cell[int(pbc.index(True) if pbc[0] else 2)]
    expected = GraphBatch.from_atoms(straight, 3.0, species=("H",))
    for graph in both([good, skewed], 3.0, monkeypatch):
        np.testing.assert_array_equal(np.diff(graph.first_edge[1:]), np.diff(expected.first_edge))
        of_it = graph.shift_system == 1
        np.testing.assert_allclose(
            graph.shift_multiples[of_it] @ skewed.cell.array, graph.shifts[of_it], rtol=0, atol=1e-15 * times
        )
        for i in range(len(skewed)):
            rows = slice(int(expected.first_edge[i]), int(expected.first_edge[i + 1]))
            ours = slice(int(graph.first_edge[1 + i]), int(graph.first_edge[2 + i]))
            wanted = np.column_stack([expected.edge_to[rows], expected.shifts[expected.edge_shift[rows]]])
            found = np.column_stack([graph.edge_to[ours] - 1, graph.shifts[graph.edge_shift[ours]]])
            order, other = np.lexsort(np.round(wanted, 6).T), np.lexsort(np.round(found, 6).T)
            np.testing.assert_allclose(found[other], wanted[order], rtol=0, atol=1e-12)


def test_farthest_move(monkeypatch):
    """Largest displacement, a common drift apart; not finite when a position is not."""
    rng = np.random.default_rng(3)
    then = rng.random((50, 3))
    now = then + rng.normal(size=(50, 3)) + 40.0
    moved = now - then
    wanted = np.linalg.norm(moved - moved.mean(axis=0), axis=1).max()
    assert farthest_move(now, then) == pytest.approx(wanted, rel=1e-13)
    assert farthest_move(now[:0], then[:0]) == 0.0
    with monkeypatch.context() as without:
        without.setattr(neighbours, "compiled_search", lambda: None)
        assert farthest_move(now, then) == pytest.approx(wanted, rel=1e-13)
    now[7, 1] = np.inf
    assert not np.isfinite(farthest_move(now, then))
