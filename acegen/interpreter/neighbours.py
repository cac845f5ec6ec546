"""Full neighbour list by brute force over periodic images, for any mix of periodic directions and any cell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from acegen.errors import InputError

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Edges i -> j sorted by i, with r < cutoff of the ordered bond strictly."""

    i: Array  # int [n_edges]
    j: Array  # int [n_edges]
    vector: Array  # r_j + S cell - r_i [n_edges, 3], angstrom
    distance: Array  # [n_edges], angstrom


def _complete_cell(cell: Array, pbc: Array) -> Array:
    """The cell with non-periodic vectors replaced by unit vectors normal to what is there."""
    full = np.where(pbc[:, None], cell, 0.0)
    for k in range(3):
        if not pbc[k]:
            others = np.array([v for v in full if v.any()]).reshape(-1, 3)
            full[k] = np.linalg.svd(np.vstack([others, np.zeros((3, 3))]))[2][len(others)]
    if abs(np.linalg.det(full)) <= 1e-12 * np.prod(np.linalg.norm(full, axis=1)):
        raise InputError("cell: expected independent vectors in the periodic directions, found a singular cell")
    return full


def find_edges(positions: Array, species: Array, cell: Array, pbc: Array, cutoffs: Array) -> Edges:
    """All edges of one structure.

    Args:
        positions: [n, 3] angstrom; need not lie inside the cell.
        species: int [n].
        cell: [3, 3] rows are the cell vectors, angstrom; rows of non-periodic directions are ignored.
        pbc: bool [3].
        cutoffs: [n_species, n_species] cutoff of each ordered bond, angstrom.
    """
    full = _complete_cell(cell, pbc)
    reciprocal = np.linalg.inv(full)
    largest = float(cutoffs.max())
    # Whole cells by which each atom sits outside: image numbers count from the wrapped atom.
    outside = np.floor(positions @ reciprocal) * pbc
    # A slab of the cell is 1/|row of reciprocal^T| high; wrapped atoms differ by less than one cell.
    reach = [int(np.floor(largest * np.linalg.norm(reciprocal[:, k]) + 1.0)) if pbc[k] else 0 for k in range(3)]
    lists: list[tuple[Array, Array, Array]] = []
    allowed = cutoffs[species[:, None], species[None, :]]
    base = positions[None, :, :] - positions[:, None, :]
    moves = outside[:, None, :] - outside[None, :, :]
    for image in itertools.product(*(range(-n, n + 1) for n in reach)):
        vector = base + (moves + np.array(image, dtype=float)) @ full
        inside = np.sum(vector**2, axis=2) < (allowed * (1.0 + 1e-12)) ** 2
        if not any(image):
            np.fill_diagonal(inside, False)
        i, j = np.nonzero(inside)
        lists.append((i, j, vector[i, j]))
    i, j, vector = (np.concatenate(parts) for parts in zip(*lists, strict=True))
    order = np.argsort(i, kind="stable")
    i, j, vector = i[order], j[order], vector[order]
    distance = np.sqrt(np.sum(vector**2, axis=1))
    kept = distance < allowed[i, j]
    return Edges(i[kept], j[kept], vector[kept], distance[kept])
