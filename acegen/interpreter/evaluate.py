"""Energy, forces, virial and basis of one structure, straight from the formulas of acegen.potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.errors import InputError
from acegen.interpreter.amplitudes import Amplitudes, CentreEdges, centre_edges
from acegen.interpreter.embedding import embed
from acegen.interpreter.neighbours import Edges, find_edges
from acegen.interpreter.products import Layout, adjoint, basis_values, make_layout
from acegen.interpreter.switching import switch_off
from acegen.potential import Centre, Potential

Array = np.ndarray

# Complex numbers per block of atoms in the largest temporary: about 60 MB.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Interpreted:
    """Results for one structure of n atoms."""

    energy: float  # eV
    energies: Array  # [n] site energies, eV
    forces: Array  # [n, 3] eV/angstrom
    virial: Array  # [3, 3] W = -sum g (x) r, eV
    virials: Array  # [n, 3, 3] per centre, eV
    basis: Array  # [n, n_basis] the functions of the atom's own species, padded with zeros
    densities: Array  # [n, n_densities] rho_p, padded with zeros


@dataclass(frozen=True, slots=True, eq=False)
class _Sites:
    """What one block of atoms of one species yields."""

    energies: Array  # [n_atoms]
    gradients: Array  # [n_edges, 3] g = dE_i/dr_ij
    basis: Array  # [n_atoms, n_functions]
    densities: Array  # [n_atoms, n_densities]


def _nearest_switch(edges: CentreEdges, potential: Potential) -> tuple[Array, Array]:
    """fsw [n_atoms] of switching "zbl" and its derivative with respect to each edge length [n_edges].

    The edge that decides is the first with the smallest r - (rcut_in - dcut_in) (pace_format 7.2).
    """
    fsw, slope = np.ones(edges.n_atoms), np.zeros(len(edges.distance))
    row = potential.bonds[edges.species]
    r_in = np.array([bond.switch_window[0] for bond in row])[edges.neighbour]
    width = np.array([bond.switch_window[1] for bond in row])[edges.neighbour]
    t = edges.distance - (r_in - width)
    for atom in range(edges.n_atoms):
        own = np.nonzero(edges.owner == atom)[0]
        if len(own) == 0:
            continue
        star = own[np.argmin(t[own])]
        if t[star] < potential.largest_cutoff:
            w = width[star]
            value, derivative = switch_off(w - t[star], w, w)
            fsw[atom], slope[star] = float(value), -float(derivative)
    return fsw, slope


def _evaluate_sites(potential: Potential, centre: Centre, layout: Layout, edges: CentreEdges) -> _Sites:
    pooled = Amplitudes(potential, centre, layout, edges)
    basis = basis_values(layout, pooled.values)
    rho = basis @ centre.weights
    f, df = embed(centre.embedding, rho)
    core, dcore = edges.core_sums(potential)
    unit = edges.vector / edges.distance[:, None]
    own = edges.owner
    if potential.switching == "density":
        fsw, dfsw = switch_off(core, centre.core_cutoff, centre.core_width)
        energies = f * fsw + core + centre.e0
        along = (1.0 + f * dfsw)[own] * dcore
    elif potential.switching == "zbl":
        fsw, slope = _nearest_switch(edges, potential)
        energies = f * fsw + core * (1.0 - fsw) + centre.e0
        along = (1.0 - fsw)[own] * dcore + (f - core)[own] * slope
    else:
        fsw = np.ones(edges.n_atoms)
        energies = f + core + centre.e0
        along = dcore
    theta = (fsw[:, None] * df) @ centre.weights.T
    gradients = pooled.edge_gradients(adjoint(layout, pooled.values, theta)) + along[:, None] * unit
    return _Sites(energies, gradients, basis, rho)


def _check(potential: Potential, species: Array, positions: Array, cell: Array, pbc: Array) -> None:
    n = len(species)
    for name, found, expected in (
        ("species", species.shape, (n,)),
        ("positions", positions.shape, (n, 3)),
        ("cell", cell.shape, (3, 3)),
        ("pbc", pbc.shape, (3,)),
    ):
        if found != expected:
            raise InputError(f"{name}: expected shape {list(expected)}, found {list(found)}")
    if n and not 0 <= species.min() <= species.max() < len(potential.species):
        raise InputError(f"species: expected indices from 0 to {len(potential.species) - 1}, found {species.max()}")


def interpret(potential: Potential, species: Array, positions: Array, cell: Array, pbc: Array) -> Interpreted:
    """Evaluate one structure.

    Args:
        potential: the internal model.
        species: int [n] indices into potential.species.
        positions: [n, 3] angstrom.
        cell: [3, 3] rows are cell vectors, angstrom; ignored where not periodic.
        pbc: bool [3].

    Raises:
        InputError: when an array has the wrong shape or a species index is out of range.
    """
    species, positions = np.asarray(species, dtype=int), np.asarray(positions, dtype=float)
    cell, pbc = np.asarray(cell, dtype=float), np.asarray(pbc, dtype=bool)
    _check(potential, species, positions, cell, pbc)
    n = len(species)
    cutoffs = np.array([[bond.cutoff for bond in row] for row in potential.bonds])
    edges = find_edges(positions, species, cell, pbc, cutoffs)
    n_basis = max(len(centre.functions) for centre in potential.centres)
    n_densities = max(centre.embedding.n_densities for centre in potential.centres)
    energies, gradients = np.zeros(n), np.zeros((len(edges.i), 3))
    basis, densities = np.zeros((n, n_basis)), np.zeros((n, n_densities))
    for a, centre in enumerate(potential.centres):
        layout = make_layout(centre)
        atoms = np.nonzero(species == a)[0]
        step = _block_size(layout, edges, n)
        for start in range(0, len(atoms), step):
            block = atoms[start : start + step]
            local = centre_edges(edges, species, a, block)
            sites = _evaluate_sites(potential, centre, layout, local)
            energies[block] = sites.energies
            gradients[local.index] = sites.gradients
            basis[block, : sites.basis.shape[1]] = sites.basis
            densities[block, : sites.densities.shape[1]] = sites.densities
    return _collect(edges, energies, gradients, basis, densities)


def _block_size(layout: Layout, edges: Edges, n: int) -> int:
    """Atoms per block such that the largest temporary stays near _BLOCK numbers."""
    per_atom = max([terms.slots.size for terms in layout.terms], default=1)
    per_atom = max(per_atom, layout.size * (1 + len(edges.i) // max(n, 1)))
    return max(1, _BLOCK // per_atom)


def _collect(edges: Edges, energies: Array, gradients: Array, basis: Array, densities: Array) -> Interpreted:
    """F_i += g_ij, F_j -= g_ij; the per-atom virial belongs to the centre."""
    n = len(energies)
    forces, virials = np.zeros((n, 3)), np.zeros((n, 3, 3))
    np.add.at(forces, edges.i, gradients)
    np.subtract.at(forces, edges.j, gradients)
    np.subtract.at(virials, edges.i, gradients[:, :, None] * edges.vector[:, None, :])
    return Interpreted(float(energies.sum()), energies, forces, virials.sum(axis=0), virials, basis, densities)
