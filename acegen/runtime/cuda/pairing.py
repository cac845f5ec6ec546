"""Sorts on the device: each edge finds its reverse, atoms are dealt to tiles of one species."""

from __future__ import annotations

from typing import Any

import numpy as np

from acegen.errors import InputError
from acegen.record import TILE

# Generic directions: two images of one pair that differ by a lattice vector have different projections.
_DIRECTIONS = ((0.5377, 0.7071, 0.4597), (-0.3129, 0.6427, 0.6993), (0.8011, -0.2503, 0.5436))
_SAME = 1e-3  # angstrom; two images of an atom are never that close


def centres_of(xp: Any, first_edge: Any, n_edges: int) -> Any:
    """Centre [n_edges] (int64) of each edge, from the offsets."""
    return xp.searchsorted(first_edge, xp.arange(n_edges, dtype=np.int64), side="right") - 1


def reverse_edges(xp: Any, centres: Any, edge_to: Any, vectors: Any | None, n_atoms: int) -> Any:
    """Index [n_edges] (int64) of the edge j -> i of opposite vector for each edge i -> j.

    The list is sorted twice, by (i, j, v·w) and by (j, i, -v·w): in the k-th places stand an edge and its reverse.

    Args:
        centres, edge_to: [n_edges] i and j.
        vectors: [n_edges, 3] shifts, or edge vectors, in angstrom; None: no periodic image.

    Raises:
        InputError: an edge has no reverse.
    """
    if not len(edge_to):
        return xp.zeros(0, np.int64)
    centres, edge_to = centres.astype(np.int64), edge_to.astype(np.int64)
    ahead, behind = centres * n_atoms + edge_to, edge_to * n_atoms + centres
    order: tuple[Any, Any] = ahead, behind
    for direction in _DIRECTIONS if vectors is not None else ((0.0, 0.0, 0.0),):
        along = None if vectors is None else sum(vectors[:, a] * direction[a] for a in range(3))
        order = _sorted_by(xp, ahead, along), _sorted_by(xp, behind, None if along is None else -along)
        if not bool(_unpaired(xp, order, ahead, behind, vectors).any()):
            reverse = xp.empty(len(edge_to), np.int64)
            reverse[order[0]] = order[1]
            return reverse
    raise InputError(_sentence(xp, order, ahead, behind, vectors, n_atoms))


def _sorted_by(xp: Any, codes: Any, along: Any | None) -> Any:
    """Stable order by code, then by `along`."""
    if along is None:
        return xp.argsort(codes, kind="stable")
    inner = xp.argsort(along, kind="stable")
    return inner[xp.argsort(codes[inner], kind="stable")]


def _unpaired(xp: Any, order: tuple[Any, Any], ahead: Any, behind: Any, vectors: Any | None) -> Any:
    one, other = order
    wrong = ahead[one] != behind[other]
    if vectors is not None:
        wrong |= xp.abs(vectors[one] + vectors[other]).max(axis=1) > _SAME
    return wrong


def _sentence(xp: Any, order: tuple[Any, Any], ahead: Any, behind: Any, vectors: Any | None, n_atoms: int) -> str:
    """Names the first edge without a reverse: where the two sorted lists part, the smaller entry is alone."""
    place = int(xp.argmax(_unpaired(xp, order, ahead, behind, vectors)))
    one, other = int(order[0][place]), int(order[1][place])
    along, against = 0.0, 0.0
    if vectors is not None:
        along, against = (sum(float(vectors[e, a]) * _DIRECTIONS[-1][a] for a in range(3)) for e in (one, other))
    edge = one if (int(ahead[one]), along) <= (int(behind[other]), -against) else other
    i, j = divmod(int(ahead[edge]), n_atoms)
    return (
        f"edge_to: edge {edge} from atom {i} to atom {j} has no reverse edge of opposite shift; expected each pair in "
        "both directions (half=True for lists that have each pair once)"
    )


def tiles_by_species(xp: Any, species: Any, n_species: int) -> tuple[Any, tuple[int, ...]]:
    """Atoms in tiles of one species: tile_atoms int32 [32 n_tiles], -1 where there is none; tiles of each species."""
    if not len(species):
        return xp.zeros(0, np.int32), (0,) * n_species
    counts = xp.bincount(species, minlength=n_species).tolist()
    tiles = tuple(-(-count // TILE) for count in counts)
    tile_atoms = xp.full(TILE * sum(tiles), -1, np.int32)
    order = xp.argsort(species, kind="stable").astype(np.int32)
    start = first = 0
    for count, n_tiles in zip(counts, tiles, strict=False):
        tile_atoms[start : start + count] = order[first : first + count]
        start, first = start + TILE * n_tiles, first + count
    return tile_atoms, tiles
