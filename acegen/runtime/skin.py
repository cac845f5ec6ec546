"""Whether a neighbour list with a skin is still complete after atoms and cells have moved."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.neighbours import farthest_move


def check_within_skin(graph: GraphBatch) -> None:
    """Refuse positions and cells whose edges may lack a pair within the cutoff; O(atoms).

    With a cell strained by F, r = r0 F + u: a pair that was at least cutoff + skin apart is now at least
    smallest singular value(F) (cutoff + skin) - 2 max|u - mean u| apart. Images move with the same u.

    Raises:
        InputError: names the structure, how far its atoms moved, and the skin.
    """
    if graph.listed is None or graph.positions is None or graph.cutoff is None:
        return
    positions, cells = graph.listed
    still = cells is graph.cells or np.array_equal(cells, graph.cells)
    if still and 2.0 * farthest_move(graph.positions, positions) <= graph.skin:
        return
    for s, (start, stop) in enumerate(pairwise(graph.first_atom.tolist())):
        strain = np.eye(3) if still else _strain(cells[s], graph.cells[s], graph.pbc[s])
        stretch = float(np.linalg.svd(strain, compute_uv=False)[-1])
        then = np.ascontiguousarray(positions[start:stop] @ strain)
        farthest = farthest_move(graph.positions[start:stop], then)
        left = graph.skin - (1.0 - stretch) * graph.cutoff
        if not 2.0 * farthest <= left:
            where = f" of structure {s}" if graph.n_systems > 1 else ""
            shrunk = f" and its cell shrank to {stretch:.4g}" if stretch < 1.0 else ""
            raise InputError(
                f"positions: atoms{where} moved up to {farthest:.3g} angstrom{shrunk} since their neighbours were "
                f"searched, the skin of {graph.skin:g} angstrom allows {max(0.0, 0.5 * left):.3g}; make a new graph"
            )


def _strain(then: FloatArray, now: FloatArray, pbc: np.ndarray) -> FloatArray:
    """F [3, 3] with old periodic cell vectors · F = new ones, the identity across them."""
    inverse = np.linalg.pinv(then[pbc])
    strain: FloatArray = np.eye(3) + inverse @ (now[pbc] - then[pbc])
    return strain
