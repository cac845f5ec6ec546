"""Model: a hand-made pair kernel gives the NumPy reference through every input, and misuse is refused by name."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from ase import Atoms
from pair_kernel import DEPTH, E0, reference, structures, write_bundle

from acegen.errors import InputError
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.weights import FoldMap

ALL = ("energy", "energies", "forces", "virial", "virials", "basis", "edge_gradients")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """One fresh cache for the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model(bundle):
    return load_bundle(bundle)


def expected(atoms):
    species = [(29, 79).index(number) for number in atoms.numbers]
    return reference(species, atoms.positions, atoms.cell.array, atoms.pbc)


def close(found, wanted, tolerance=1e-13):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(1.0, np.abs(wanted).max(initial=0.0)))


def test_every_property_matches_the_reference(model):
    """All outputs of a mixed batch equal the sum over images, structure by structure."""
    frames = structures()
    graph = GraphBatch.from_atoms(frames, model)
    out = model.evaluate(graph, ALL)
    for k, atoms in enumerate(frames):
        energies, forces, virials = expected(atoms)
        rows = slice(graph.first_atom[k], graph.first_atom[k + 1])
        close(out.energy[k], energies.sum())
        close(out.energies[rows], energies)
        close(out.forces[rows], forces)
        close(out.virials[rows], virials)
        close(out.virial[k], virials.sum(axis=0))
    assert all(getattr(out, name).dtype == np.float64 for name in ALL)
    assert out.basis.shape == (graph.n_atoms, 2)
    energies = np.array(E0)[graph.species] + (out.basis * DEPTH[graph.species]).sum(axis=1)
    close(out.energies, energies)


def test_structures_and_graphs_are_the_same_input(model):
    """Atoms, a list of Atoms and their graph give identical numbers."""
    frames = structures()
    one, many = model.evaluate(frames[0]), model.evaluate(frames)
    graph = model.evaluate(GraphBatch.from_atoms(frames, model))
    np.testing.assert_array_equal(one.energy[0], many.energy[0])
    np.testing.assert_array_equal(many.forces, graph.forces)
    np.testing.assert_array_equal(many.virial, graph.virial)


def test_edge_gradients_come_back_in_the_callers_order(model):
    """Shuffled edges: forces do not change, row e of edge_gradients belongs to edge e of the caller."""
    atoms = structures()[0]
    graph = GraphBatch.from_atoms(atoms, model)
    sorted_out = model.evaluate(graph, ALL)
    order = np.random.default_rng(2).permutation(graph.n_edges)
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    shuffled = GraphBatch.from_arrays(
        species=graph.species,
        positions=graph.positions,
        edge_from=centres[order],
        edge_to=graph.edge_to[order],
        shifts=graph.shift_multiples[graph.edge_shift][order],
        cells=graph.cells,
    )
    out = model.evaluate(shuffled, ALL)
    close(out.edge_gradients, sorted_out.edge_gradients[order])
    close(out.forces, sorted_out.forces)


def test_edge_vectors_need_no_positions(model):
    """Given vectors replace positions and shifts."""
    atoms = structures()[5]
    graph = GraphBatch.from_atoms(atoms, model)
    centres = np.repeat(np.arange(3), np.diff(graph.first_edge))
    vectors = graph.positions[graph.edge_to] - graph.positions[centres]
    again = GraphBatch.from_arrays(
        species=graph.species, first_edge=graph.first_edge, edge_to=graph.edge_to, edge_vectors=vectors
    )
    close(model.evaluate(again).forces, expected(atoms)[1])


def test_moved_graphs_are_independent(model):
    """A moved graph gives the numbers of its own positions and cell, the graph it came from keeps its own."""
    atoms = structures()[0]
    graph = GraphBatch.from_atoms(atoms, model, skin=0.5)
    before = model.evaluate(graph)
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    strained.rattle(0.01, seed=9)
    moved = graph.with_positions(strained.positions, strained.cell.array)
    out = model.evaluate(moved)
    energies, forces, virials = expected(strained)
    close(out.energy[0], energies.sum())
    close(out.forces, forces)
    close(out.virial[0], virials.sum(axis=0))
    np.testing.assert_array_equal(
        model.evaluate(moved.with_positions(atoms.positions, atoms.cell)).forces, before.forces
    )
    np.testing.assert_array_equal(model.evaluate(graph).forces, before.forces)


def test_empty_input(model):
    """No structures, and structures without atoms, have empty arrays and zero energy."""
    out = model.evaluate([], ALL)
    assert (out.energy.shape, out.forces.shape, out.basis.shape) == ((0,), (0, 3), (0, 2))
    out = model.evaluate([Atoms(), Atoms()])
    assert out.energy.tolist() == [0.0, 0.0] and not out.virial.any()


def test_only_what_was_asked_for(model):
    """Other properties raise an AttributeError that says how to get them."""
    out = model.evaluate(Atoms("Cu"), "energy")
    assert out.energy.tolist() == [E0[0]]
    with pytest.raises(AttributeError, match=r"'forces' was not evaluated \(only energy\): ask with properties="):
        _ = out.forces
    with pytest.raises(AttributeError, match="has no attribute 'force'"):
        _ = out.force
    with pytest.raises(InputError, match="properties: 'force' is unknown, did you mean 'forces'"):
        model.evaluate(Atoms("Cu"), ("energy", "force"))
    with pytest.raises(InputError, match="properties: 'xyz' is unknown, expected some of energy"):
        model.evaluate(Atoms("Cu"), "xyz")


def test_wrong_kinds_of_arguments_are_sentences(model):
    """Properties and weights that are no sequences of the right things."""
    for wrong in (None, 5, [["energy"]], "energies, forces"):
        with pytest.raises(InputError, match="properties: expected a sequence of names, found"):
            model.evaluate(Atoms("Cu"), wrong)
    for wrong in (None, 5, "ab"):
        with pytest.raises(InputError, match="weights: expected 2 arrays, one per species, found"):
            model.weights = wrong
    with pytest.raises(InputError, match=r"weights\[0\]: expected an array, found rows of different lengths"):
        model.weights = [[[1.0], [1.0, 2.0]], DEPTH[1]]


def test_graph_of_another_model_is_refused(model):
    """Species order, species range and reach of the neighbours must fit."""
    with pytest.raises(InputError, match=r"graph: its species are \('Au', 'Cu'\), model 'morse' has \('Cu', 'Au'\)"):
        model.evaluate(GraphBatch.from_atoms(Atoms("Cu"), 4.0, species=("Au", "Cu")))
    with pytest.raises(InputError, match=r"graph: its neighbours reach 3\.5 angstrom, model 'morse' needs 4"):
        model.evaluate(GraphBatch.from_atoms(Atoms("Cu"), 3.5, species=("Cu", "Au")))
    with pytest.raises(InputError, match=r"species: entry 1 is 2, expected 0 to 1 \(species of model 'morse'\)"):
        model.evaluate(GraphBatch.from_arrays(species=[0, 2], positions=np.eye(2, 3), edge_from=[], edge_to=[]))
    with pytest.raises(InputError, match="atoms: atom 0 is Fe, expected one of Cu, Au"):
        model.evaluate(Atoms("Fe"))


def test_atoms_at_one_place_are_named(model):
    """A distance of zero never gives NaN: structure and atoms are named, whatever was asked for."""
    good, bad = Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]]), Atoms("Cu3", [[0, 0, 0], [2.5, 0, 0], [2.5, 0, 0]])
    for properties in ALL:
        if properties in ("energies", "energy", "basis"):
            continue  # the pair kernel is smooth at zero, its derivatives are not
        with pytest.raises(InputError, match=rf"structure 1: {properties} not .* atoms 1 and 2 are 0 angstrom"):
            model.evaluate([good, bad], properties)
    with pytest.raises(InputError, match="structure 0: forces not finite; its atoms 0 and 1 are 0 angstrom apart"):
        model.evaluate(
            GraphBatch.from_arrays(species=[0, 1], edge_from=[1, 0], edge_to=[0, 1], edge_vectors=np.zeros((2, 3)))
        )
    with pytest.raises(InputError, match="not finite; neighbour 1 is 0 angstrom away"):
        model.site(0, [1, 1], [[2.0, 0, 0], [0, 0, 0]])


def test_rows_of_b_beyond_memory_are_refused(model, monkeypatch):
    """The bytes are told, and what to do instead."""
    monkeypatch.setattr("acegen.runtime.room.physical_bytes", lambda: 15.0)
    n_bytes = 8 * 3 * model.n_basis
    with pytest.raises(InputError, match=rf"basis: \[3, \d+\] takes {n_bytes} bytes, .*: evaluate fewer structures"):
        model.evaluate(Atoms("Cu3", [[0, 0, 0], [2.5, 0, 0], [5, 0, 0]]), "basis")


def test_site_entry(model):
    """The entry for other hosts gives the energy and edge gradients of one centre."""
    vectors = np.array([[2.4, 0.1, 0.0], [0.0, -2.2, 1.1], [9.0, 0, 0]])
    energy, gradient = model.site(1, [0, 1, 1], vectors)
    graph = GraphBatch.from_arrays(
        species=[1, 0, 1, 1], first_edge=[0, 3, 3, 3, 3], edge_to=[1, 2, 3], edge_vectors=vectors
    )
    out = model.evaluate(graph, ("energies", "edge_gradients"))
    assert energy == pytest.approx(out.energies[0], rel=1e-14)
    close(gradient, out.edge_gradients)
    with pytest.raises(InputError, match="neighbour_species: entry 0 is 5, expected 0 to 1"):
        model.site(0, [5], [[2.0, 0, 0]])
    with pytest.raises(InputError, match="species: entry 0 is 2, expected 0 to 1"):
        model.site(2, [], np.zeros((0, 3)))
    for wrong in ("Cu", 0.7, None, [0, 0], True):
        with pytest.raises(InputError, match=r"species: expected an index into \('Cu', 'Au'\), found"):
            model.site(wrong, [], np.zeros((0, 3)))


def test_site_entry_uses_replaced_weights(model):
    """Assigned weights count in the entry for other hosts as they do in evaluate."""
    vectors = [[2.4, 0.1, 0.0], [0.0, -2.2, 1.1]]
    before = model.site(0, [0, 1], vectors)
    model.weights = [3.0 * array for array in model.weights]
    after = model.site(0, [0, 1], vectors)
    assert after[0] - E0[0] == pytest.approx(3.0 * (before[0] - E0[0]), rel=1e-14)
    close(after[1], 3.0 * before[1])


def test_weights_are_replaced_without_compiling(model):
    """Assigned weights pass through the fold map and change energies as they should; reading gives no access."""
    atoms = structures()[0]
    before = model.evaluate(atoms, ("energies", "basis"))
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0][:] = 99.0
    np.testing.assert_array_equal(model.weights[0][:, 0], DEPTH[0])
    model.weights = [2.0 * DEPTH[0][:, None], 3.0 * DEPTH[1]]
    species = np.array([(29, 79).index(number) for number in atoms.numbers])
    factor = np.array([2.0, 3.0])[species]
    base = np.array(E0)[species]
    close(model.evaluate(atoms, "energies").energies, base + factor * (before.energies - base))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.evaluate(atoms).energy, model.evaluate(atoms).energy)
    np.testing.assert_array_equal(copy.deepcopy(model).weights[1], model.weights[1])


def test_wrong_weights_are_named(model, tmp_path):
    """Number of species, shapes, finiteness, and kernels with weights compiled in."""
    with pytest.raises(InputError, match="weights: expected 2 arrays, one per species, found 1"):
        model.weights = [DEPTH[0]]
    with pytest.raises(InputError, match=r"weights\[1\]: expected shape \[2, 1\], found \[3, 1\]"):
        model.weights = [DEPTH[0], [1.0, 2.0, 3.0]]
    with pytest.raises(InputError, match=r"weights\[0\]: expected finite numbers in eV, found nan at \(0, 0\)"):
        model.weights = [[np.nan, 0.0], DEPTH[1]]
    fixed = load_bundle(write_bundle(tmp_path / "fixed", replaceable=False))
    with pytest.raises(InputError, match="weights: those of 'morse' are compiled in; set `weights_replaceable"):
        fixed.weights = [DEPTH[0], DEPTH[1]]


def test_fold_map_with_empty_rows():
    """Rows without terms give zero, wherever they stand."""
    fold = FoldMap(np.array([0, 0, 2, 2, 3, 3]), np.array([0, 1, 2]), np.array([1.0, 2.0, -1.0]))
    assert fold.apply(np.array([3.0, 5.0, 7.0])).tolist() == [0.0, 13.0, 0.0, -7.0, 0.0]


def test_float32_kernel_is_another_library(bundle, model):
    """precision="float32" compiles with ACEGEN_REAL=float: close to, but not equal to, float64; output is float64."""
    single = load_bundle(bundle, precision="float32")
    atoms = structures()[0]
    fine, coarse = model.evaluate(atoms), single.evaluate(atoms)
    assert coarse.energy.dtype == np.float64
    assert fine.energy[0] != coarse.energy[0]
    assert coarse.energy[0] == pytest.approx(fine.energy[0], rel=1e-6)
    assert single.precision == "float32"
