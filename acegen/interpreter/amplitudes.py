"""Amplitudes A_cm of a block of atoms and the edge gradients that belong to an adjoint of A."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.interpreter.core import core_energy
from acegen.interpreter.harmonics import harmonics
from acegen.interpreter.neighbours import Edges
from acegen.interpreter.products import Layout
from acegen.interpreter.radial import bond_values
from acegen.potential import Centre, Potential

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class CentreEdges:
    """The edges of a block of atoms of one species, in the order of the list."""

    species: int
    n_atoms: int
    index: Array  # int [n_edges] into the list of the structure
    owner: Array  # int [n_edges] atom of the block
    neighbour: Array  # int [n_edges] neighbour species
    vector: Array  # [n_edges, 3] angstrom
    distance: Array  # [n_edges] angstrom

    def core_sums(self, potential: Potential) -> tuple[Array, Array]:
        """c_i [n_atoms] and dcore/dr [n_edges], eV and eV/angstrom."""
        value, slope = np.zeros(len(self.distance)), np.zeros(len(self.distance))
        for b, bond in enumerate(potential.bonds[self.species]):
            mine = self.neighbour == b
            if bond.core is not None and mine.any():
                value[mine], slope[mine] = core_energy(bond.core, self.distance[mine])
        return np.bincount(self.owner, value, self.n_atoms), slope


def centre_edges(edges: Edges, species: Array, a: int, block: Array) -> CentreEdges:
    """Select the edges whose centres are the atoms of the block (all of species a, ascending)."""
    index = np.nonzero(np.isin(edges.i, block))[0]
    owner = np.searchsorted(block, edges.i[index])
    neighbour = species[edges.j[index]]
    return CentreEdges(a, len(block), index, owner, neighbour, edges.vector[index], edges.distance[index])


def _sum_by_owner(values: Array, owner: Array, n_atoms: int) -> Array:
    """Rows of values added up per atom; owner is sorted."""
    out = np.zeros((n_atoms, *values.shape[1:]), dtype=values.dtype)
    if len(owner):
        starts = np.nonzero(np.diff(owner, prepend=-1))[0]
        out[owner[starts]] = np.add.reduceat(values, starts, axis=0)
    return out


class Amplitudes:
    """R_c and Y_lm on the edges of a block, and the amplitudes `values` [n_atoms, layout.size]."""

    def __init__(self, potential: Potential, centre: Centre, layout: Layout, edges: CentreEdges) -> None:
        self._edges, self._layout = edges, layout
        self._by_l: dict[int, list[int]] = {}
        for c, channel in enumerate(centre.channels):
            self._by_l.setdefault(channel.l, []).append(c)
        self._r, self._dr = _channel_radials(potential, centre, edges)
        self._y, self._dy = harmonics(max(self._by_l, default=0), edges.vector / edges.distance[:, None])
        self.values = np.zeros((edges.n_atoms, layout.size), dtype=complex)
        for l, channels in self._by_l.items():
            phi = self._r[:, channels, None] * self._y[l][:, None, :]
            self.values[:, self._slots(l)] = _sum_by_owner(phi, edges.owner, edges.n_atoms)

    def _slots(self, l: int) -> Array:
        """Flat places [n_channels of l, 2l+1]."""
        return np.asarray(self._layout.first[self._by_l[l]][:, None] + np.arange(2 * l + 1))

    def edge_gradients(self, w: Array) -> Array:
        """g_ij [n_edges, 3] of Re sum w dA: radial part along r, tangential part by the gradient of Y / r."""
        edges = self._edges
        unit = edges.vector / edges.distance[:, None]
        out = np.zeros((len(edges.distance), 3))
        for l, channels in self._by_l.items():
            own = w[:, self._slots(l)][edges.owner]  # [n_edges, n_channels, 2l+1]
            over_channels = np.einsum("ec,ecm->em", self._r[:, channels], own)
            slope = np.einsum("ec,ecm->em", self._dr[:, channels], own)
            out += np.sum(slope * self._y[l], axis=1).real[:, None] * unit
            out += np.einsum("em,ema->ea", over_channels, self._dy[l]).real / edges.distance[:, None]
        return out


def _channel_radials(potential: Potential, centre: Centre, edges: CentreEdges) -> tuple[Array, Array]:
    """R_c and dR_c/dr [n_edges, n_channels], zero for channels of another neighbour species."""
    shape = (len(edges.distance), len(centre.channels))
    value, slope = np.zeros(shape), np.zeros(shape)
    first = 0
    for b, bond in enumerate(potential.bonds[edges.species]):
        rows = np.nonzero(edges.neighbour == b)[0]
        g, dg = bond_values(bond, edges.distance[rows])
        for c, channel in enumerate(centre.channels):
            if channel.neighbour == b:
                coefficients = np.array(channel.coefficients)
            elif channel.neighbour == -1:  # one channel for all species: coefficients bond after bond
                coefficients = np.array(channel.coefficients[first : first + bond.n_primitives])
            else:
                continue
            value[rows, c], slope[rows, c] = g @ coefficients, dg @ coefficients
        first += bond.n_primitives
    if potential.angular == "solid":
        l = np.array([channel.l for channel in centre.channels], dtype=float)
        power = edges.distance[:, None] ** l
        slope = slope * power + l * value * power / edges.distance[:, None]
        value = value * power
    return value, slope
