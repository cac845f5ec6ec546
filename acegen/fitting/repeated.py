"""Structures that are there more than once: in the fit, or in the fit and among those its errors are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acegen.fitting.structures import Structure

_SAME = 1e-6  # relative, of labels that were written and read


def repeated(train: Sequence[Structure], test: Sequence[Structure]) -> list[str]:
    """Sentences about structures of several atoms that are repeated; the first one of each kind is named."""
    known: dict[bytes, Structure] = {}
    again = _again(train, known)
    found = []
    if again:
        twice, other = next((pair for pair in again if not _same_labels(*pair)), again[0])
        labels = "" if _same_labels(twice, other) else ", with other labels"
        found.append(
            f"{twice.frame.place}: the structure of {other.frame.place}{labels}: {len(again)} of {len(train)} training "
            "structures repeat an earlier one"
        )
    leaked = [(one, known[key]) for one in test if (key := _geometry(one)) in known]
    if leaked:
        one, other = leaked[0]
        found.append(
            f"{one.frame.place}: the structure of {other.frame.place}: {len(leaked)} of {len(test)} test structures "
            "are among those of the fit, their errors say nothing of others"
        )
    return found


def _again(structures: Sequence[Structure], known: dict[bytes, Structure]) -> list[tuple[Structure, Structure]]:
    """Pairs (repetition, first); the first ones go into `known`."""
    pairs = []
    for structure in structures:
        if structure.n_atoms > 1:
            first = known.setdefault(_geometry(structure), structure)
            if first is not structure:
                pairs.append((structure, first))
    return pairs


def _geometry(structure: Structure) -> bytes:
    atoms = structure.atoms
    cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)  # a box around a molecule means nothing
    arrays = (atoms.numbers.astype(np.int64), np.asarray(atoms.positions, np.float64) + 0.0, cell + 0.0, atoms.pbc)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def _same_labels(one: Structure, other: Structure) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("energy", "forces", "virial")]
    return all(a is None or b is None or np.allclose(a, b, rtol=_SAME, atol=_SAME) for a, b in pairs)
