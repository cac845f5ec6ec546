"""Forward mode: rows of the design matrix are the derivatives of energy, forces and virial with respect to the
weights, and basis gradients those of B with respect to r_ij, whatever the order, the species, the batch and the
number of threads."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from kernels import Kernels
from spec_texts import write_spec
from structures import centres, cluster, edge_vectors, lattice, rotation, worst
from zoo import zoo_file

import acegen
from acegen import GraphBatch
from acegen.build.cc import find_compiler
from acegen.errors import InputError
from acegen.inputs import read_input
from acegen.runtime import room
from acegen.runtime.design import Design
from acegen.runtime.model import Model

SPECS = ("order4", "order5", "glorot3", "solid", "splined")


@pytest.fixture(scope="module", params=SPECS)
def model(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """Linear models of orders 3 to 5, of one to three species, with and without a pair basis."""
    for name in SPECS[SPECS.index(request.param) :]:
        kernels.start(write_spec(spec_folder, name))
    return kernels(write_spec(spec_folder, request.param))


@pytest.fixture(scope="module")
def batch(model: Model) -> GraphBatch:
    """A cell smaller than the cutoff (atoms see images of each other and of themselves), a large one, a cluster
    and an atom alone; edges longer than the cutoff."""
    alone = ase.Atoms(model.species[-1], positions=[[1.0, 2.0, 3.0]])
    structures = [lattice(model, (1, 2, 1), 2), lattice(model, (3, 3, 3), 3), cluster(model), alone]
    return GraphBatch.from_atoms(structures, model, skin=0.4)


@pytest.fixture(scope="module")
def design(model: Model, batch: GraphBatch) -> Design:
    return model.design(batch)


def parameters(model: Model) -> np.ndarray:
    """Weights in the order of `parameter_slices`."""
    weights = [array[:, 0] for array in model.weights]
    many = [count for count, _ in model.manifest.n_basis_per_species]
    rows = [w[:n] for w, n in zip(weights, many, strict=True)] + [w[n:] for w, n in zip(weights, many, strict=True)]
    return np.concatenate(rows)


def voigt(virial: np.ndarray) -> np.ndarray:
    return np.stack([virial[:, a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], axis=1)


def test_slices_cover_the_columns(model: Model) -> None:
    """Many-body rows of every species, then pair rows, without gaps."""
    sizes = [sizes[part] for part in (0, 1) for sizes in model.manifest.n_basis_per_species]
    assert [s.stop - s.start for s in model.parameter_slices] == sizes
    assert sum(sizes) == model.n_parameters == model.parameter_slices[-1].stop


def test_rows_times_weights(model: Model, batch: GraphBatch, design: Design) -> None:
    out = model.evaluate(batch)
    w = parameters(model)
    isolated = model.evaluate([ase.Atoms(symbol) for symbol in model.species], "energy").energy
    reference = np.add.reduceat(isolated[batch.species], batch.first_atom[:-1])
    assert worst(design.energy @ w + reference, out.energy) <= 1e-12
    assert worst(design.forces @ w, out.forces) <= 1e-12
    assert worst(design.virial @ w, voigt(out.virial)) <= 1e-12


def test_energy_rows_are_sums_of_the_basis(model: Model, batch: GraphBatch, design: Design) -> None:
    basis = model.evaluate(batch, "basis").basis
    expected = np.zeros((batch.n_systems, model.n_parameters))
    system = np.repeat(np.arange(batch.n_systems), np.diff(batch.first_atom))
    for i, a in enumerate(batch.species):
        many, pair = model.manifest.n_basis_per_species[a]
        expected[system[i], model.parameter_slices[a]] += basis[i, :many]
        expected[system[i], model.parameter_slices[a + len(model.species)]] += basis[i, many : many + pair]
    assert worst(design.energy, expected) <= 1e-13


def test_basis_gradients_times_weights(model: Model, batch: GraphBatch) -> None:
    out = model.evaluate(batch, ("basis_gradients", "edge_gradients"))
    flat = [array[:, 0] for array in model.weights]
    weights = np.stack([flat[a] for a in batch.species[centres(batch)]])
    assert worst(np.einsum("eaf,ef->ea", out.basis_gradients, weights), out.edge_gradients) <= 1e-12


def test_basis_gradients_are_derivatives_of_the_basis(model: Model) -> None:
    graph = GraphBatch.from_atoms(lattice(model, (2, 2, 2), 5), model)
    found = model.evaluate(graph, "basis_gradients").basis_gradients
    vectors, h = edge_vectors(graph), 1e-3
    stream = np.random.Generator(np.random.Philox(1))
    for edge in stream.choice(graph.n_edges, 3, replace=False):
        for axis in range(3):
            rows = []
            for step in (-2, -1, 1, 2):
                moved = vectors.copy()
                moved[edge, axis] += step * h
                at = GraphBatch.from_arrays(
                    species=graph.species, edge_to=graph.edge_to, first_edge=graph.first_edge, edge_vectors=moved
                )
                rows.append(model.evaluate(at, "basis").basis[centres(graph)[edge]])
            slope = (rows[0] - 8 * rows[1] + 8 * rows[2] - rows[3]) / (12 * h)
            assert worst(found[edge, axis], slope) <= 1e-8


def test_rows_of_a_rotated_structure(model: Model) -> None:
    """Energy rows stay, force rows turn as vectors, the virial's trace stays."""
    atoms, turn = cluster(model, 4), rotation(3)
    turned = ase.Atoms(atoms.symbols, positions=atoms.positions @ turn.T)
    first, second = model.design(atoms), model.design(turned)
    assert worst(second.energy, first.energy) <= 1e-12
    assert worst(second.forces, np.einsum("ab,nbp->nap", turn, first.forces)) <= 1e-12
    assert worst(second.virial[:, :3].sum(axis=1), first.virial[:, :3].sum(axis=1)) <= 1e-12


def test_batch_is_its_structures(model: Model, batch: GraphBatch, design: Design) -> None:
    """In parts of one structure or several, the rows are the same bits."""
    for max_bytes in (1, 1 << 30):
        parts = 0
        for systems, part in model.design_blocks(batch, max_bytes=max_bytes):
            atoms = slice(batch.first_atom[systems.start], batch.first_atom[systems.stop])
            assert np.array_equal(part.energy, design.energy[systems.start : systems.stop])
            assert np.array_equal(part.forces, design.forces[atoms])
            assert np.array_equal(part.virial, design.virial[systems.start : systems.stop])
            parts += 1
        assert parts == (batch.n_systems if max_bytes == 1 else 1)


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, "x", True])
def test_memory_of_parts_is_a_whole_number(model: Model, batch: GraphBatch, max_bytes: Any) -> None:
    """No part of no bytes: refused, with what was found."""
    with pytest.raises(InputError, match=f"max_bytes: expected a whole number >= 1, found {max_bytes!r}"):
        list(model.design_blocks(batch, max_bytes=max_bytes))


def test_threads_give_the_same_bits(model: Model, kernels: Kernels, spec_folder: Path) -> None:
    """One large structure is shared by columns, its gradients by atoms."""
    graph = GraphBatch.from_atoms(lattice(model, (4, 4, 4), 6), model)
    two = acegen.load(kernels.bundle(spec_folder / f"{model.name}.yaml"), threads=2)
    assert np.array_equal(two.design(graph).forces, model.design(graph).forces)
    gradients = [m.evaluate(graph, "basis_gradients").basis_gradients for m in (model, two)]
    assert np.array_equal(*gradients)


def test_chosen_rows_and_given_memory(model: Model, batch: GraphBatch, design: Design) -> None:
    only = model.design(batch, "forces")
    assert only.energy is None and only.virial is None
    assert np.array_equal(only.forces, design.forces)
    memory = Design(None, np.full_like(design.forces, np.nan), np.full_like(design.virial, np.nan))
    assert model.design(batch, ("forces", "virial"), out=memory).forces is memory.forces
    assert np.array_equal(memory.forces, design.forces) and np.array_equal(memory.virial, design.virial)


def test_edges_in_the_callers_order(model: Model) -> None:
    graph = GraphBatch.from_atoms(cluster(model), model)
    order = np.random.Generator(np.random.Philox(2)).permutation(graph.n_edges)
    shuffled = GraphBatch.from_arrays(
        species=graph.species,
        edge_from=centres(graph)[order],
        edge_to=graph.edge_to[order],
        edge_vectors=edge_vectors(graph)[order],
    )
    plain = model.evaluate(graph, "basis_gradients").basis_gradients
    found = model.evaluate(shuffled, "basis_gradients").basis_gradients
    assert worst(found, plain[order]) <= 1e-12


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86-64")
@pytest.mark.parametrize("name", ["solid", "order4"])  # lanes of gradients are functions, neighbours
@pytest.mark.parametrize("width", [16, 64])
def test_vectors_of_other_widths(
    spec_folder: Path, kernels: Kernels, monkeypatch: pytest.MonkeyPatch, width: int, name: str
) -> None:
    """Two and eight lanes give the numbers of the default width."""
    path = write_spec(spec_folder, name)
    model = kernels(path)
    graph = GraphBatch.from_atoms([lattice(model, (1, 2, 1), 2), lattice(model, (2, 3, 2), 3)], model)
    rows, gradients = model.design(graph), model.evaluate(graph, "basis_gradients").basis_gradients
    monkeypatch.setenv("ACEGEN_CC", f"{shlex.join(find_compiler().command)} -DVEC_BYTES={width} -Wno-psabi")
    other = Model(model.manifest, model.kernel, "float64", 1, origin=(kernels.bundle(path),))
    found = other.design(graph)
    assert worst(found.forces, rows.forces) <= 1e-12 and worst(found.virial, rows.virial) <= 1e-12
    assert worst(other.evaluate(graph, "basis_gradients").basis_gradients, gradients) <= 1e-12


def test_a_linear_pace_potential(shared: Path, kernels: Kernels) -> None:
    """The B-functions of a potential file whose embedding is linear: their derivatives add up to its own."""
    path = zoo_file(shared, "W-small-s1")
    model, weights = kernels(path), read_input(path).potential.centres[0].weights[:, 0]
    graph = GraphBatch.from_atoms([lattice(model, (3, 3, 3)), cluster(model)], model)
    out = model.evaluate(graph, ("forces", "virial", "edge_gradients", "basis_gradients"))
    rows = model.design(graph)
    assert worst(rows.forces @ weights, out.forces) <= 1e-11  # its terms cancel
    assert worst(rows.virial @ weights, voigt(out.virial)) <= 1e-11
    assert worst(out.basis_gradients @ weights, out.edge_gradients) <= 1e-11


def test_no_atoms(spec_folder: Path, kernels: Kernels) -> None:
    model = kernels(write_spec(spec_folder, "solid"))
    rows = model.design(ase.Atoms())
    assert rows.forces.shape == (0, 3, model.n_parameters) and not rows.energy.any() and not rows.virial.any()


def test_mistakes_are_named(spec_folder: Path, kernels: Kernels) -> None:
    model = kernels(write_spec(spec_folder, "solid"))
    with pytest.raises(InputError, match="properties: expected some of energy, forces, virial, found 'stress'"):
        model.design(cluster(model), "stress")
    rows = Design(np.zeros((1, 3)), None, None)
    with pytest.raises(InputError, match=r"argument 'energy' is float64 \[1, 3\]"):
        model.design(cluster(model), "energy", out=rows)
    with pytest.raises(InputError, match="out: expected an array forces"):
        model.design(cluster(model), "forces", out=rows)
    with pytest.raises(InputError, match="structure 1: energy not finite; its atoms 0 and 1 are 0 angstrom apart"):
        model.design([cluster(model), ase.Atoms(["Si", "Si"], positions=np.zeros((2, 3)))])
    embedded = kernels(write_spec(spec_folder, "embedded"))
    with pytest.raises(InputError, match="not linear in its basis functions"):
        embedded.design(cluster(embedded))


def test_gradients_are_written_only_where_they_can_be(model: Model, batch: GraphBatch) -> None:
    """No graph, no array, no room to write: one sentence each, before the kernel; None only for the basis."""
    room_for_all = np.zeros((batch.n_edges, 3, model.n_basis))
    with pytest.raises(InputError, match="graph: expected a GraphBatch, found Atoms"):
        model.write_gradients(cluster(model), None, room_for_all)
    with pytest.raises(InputError, match="basis: expected a float64 array to write to, found list"):
        model.write_gradients(batch, [], room_for_all)
    with pytest.raises(InputError, match="argument 'basis_gradients' is missing"):
        model.write_gradients(batch, None, None)
    with pytest.raises(InputError, match="argument 'basis_gradients' is float32"):
        model.write_gradients(batch, None, room_for_all.astype(np.float32))
    unaligned = np.frombuffer(bytearray(room_for_all.nbytes + 8), np.float64, room_for_all.size, 4)
    with pytest.raises(InputError, match="'basis_gradients' begins at an address that is no multiple of 8 bytes"):
        model.write_gradients(batch, None, unaligned.reshape(room_for_all.shape))
    basis = room_for_all.reshape(-1)[: batch.n_atoms * model.n_basis].reshape(batch.n_atoms, model.n_basis)
    with pytest.raises(InputError, match="gradients: expected memory of its own, found some of basis's"):
        model.write_gradients(batch, basis, room_for_all)
    assert not room_for_all.any()
    room_for_all.flags.writeable = False
    with pytest.raises(InputError, match="gradients: expected an array to write to, found a read-only one"):
        model.write_gradients(batch, None, room_for_all)
    rows = Design(None, np.zeros((batch.n_atoms, 3, model.n_parameters)), None)
    rows.forces.flags.writeable = False
    with pytest.raises(InputError, match="forces: expected an array to write to, found a read-only one"):
        model.design(batch, "forces", out=rows)


@pytest.mark.parametrize("limit", ["machine", "empty"])
def test_rows_beyond_memory_are_refused(
    model: Model, batch: GraphBatch, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """More than the machine has, or than is to be had: the bytes are told, and what to do instead."""

    def none_left(*_: Any, **__: Any) -> None:
        raise MemoryError

    if limit == "machine":
        monkeypatch.setattr(room, "physical_bytes", lambda: 1000.0)
    else:
        monkeypatch.setattr(room.room_for, "__defaults__", (none_left,))
    n_bytes = 8 * batch.n_atoms * 3 * model.n_parameters
    with pytest.raises(InputError, match=f"takes {n_bytes} bytes, .*: use design_blocks, or fewer structures"):
        model.design(batch, "forces")
    if limit == "machine":
        n_bytes = 8 * batch.n_edges * 3 * model.n_basis
        with pytest.raises(InputError, match=f"basis_gradients: .* takes {n_bytes} bytes, .*fewer structures at a"):
            model.evaluate(batch, "basis_gradients")


@pytest.mark.parametrize("names", [("forces",), ("energy", "forces"), ("virial",)])
def test_atoms_at_one_place_have_no_rows(model: Model, names: tuple[str, ...]) -> None:
    """Whichever rows are asked for."""
    pair = ase.Atoms([model.species[0], model.species[-1]], positions=[[1.0, 1.0, 1.0]] * 2)
    across = ase.Atoms(pair.symbols, positions=[[0.0, 1.0, 1.0], [8.0, 1.0, 1.0]], cell=[8.0] * 3, pbc=True)
    with pytest.raises(InputError, match=r"structure 1: .* not finite; its atoms 0 and 1 are 0 angstrom apart"):
        model.design([cluster(model), pair], names)
    with pytest.raises(InputError, match=r"structure 0: .* not finite; its atoms 0 and 1 are 0 angstrom apart"):
        model.design([across, cluster(model)], names)
