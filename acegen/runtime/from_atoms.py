"""Graphs of ASE structures: checked arrays of a batch, symbols to species indices, and the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, float_array, symbol_names
from acegen.runtime.edges import Shifts
from acegen.runtime.graph import GraphBatch, HasSpecies
from acegen.runtime.neighbours import Structures, find_edges

if TYPE_CHECKING:
    from ase import Atoms

_FAR = 1e8  # angstrom: from here on boxes are counted
_MOST_BOXES = 2**30  # periodic boxes an atom may be away from its own


def graph_from_atoms(
    atoms: Atoms | Sequence[Atoms], model: HasSpecies | float, skin: float, species: Sequence[str] | None
) -> GraphBatch:
    """See `GraphBatch.from_atoms`."""
    symbols, cutoff = _species_and_cutoff(model, species)
    if not (isinstance(skin, int | float) and 0.0 <= skin < math.inf):
        raise InputError(f"skin: expected a length in angstrom >= 0, found {skin!r}")
    reach = cutoff + float(skin)
    batch, indices = read_frames(atoms, symbols)
    n_systems = len(batch.cells)
    found = find_edges(batch, reach, _names(n_systems))
    return GraphBatch(
        n_systems=n_systems,
        n_atoms=len(batch.positions),
        n_edges=len(found.edge_to),
        first_atom=batch.first_atom,
        species=indices,
        first_edge=found.first_edge,
        edge_to=found.edge_to,
        positions=batch.positions,
        edge_vectors=None,
        cells=batch.cells,
        pbc=batch.pbc,
        cutoff=reach,
        symbols=symbols,
        skin=float(skin),
        listed=(batch.positions, batch.cells) if skin > 0.0 else None,
        **shift_fields(found.shifts),
    )


def read_frames(atoms: Atoms | Sequence[Atoms], symbols: tuple[str, ...]) -> tuple[Structures, Int32Array]:
    """Checked arrays of structures, and the species index [n_atoms] of every atom.

    Raises:
        InputError: unknown element, positions that are not finite or too far away.
    """
    frames = atom_frames(atoms)
    names = _names(len(frames))
    batch = _joined(frames, names)
    indices = species_indices(frames, symbols, names)
    if np.abs(batch.positions).max(initial=0.0) > _FAR:
        _check_boxes(frames, names)
    return batch, indices


def _names(n_systems: int) -> list[str]:
    """Names of the structures for messages."""
    return ["atoms"] if n_systems == 1 else [f"atoms[{k}]" for k in range(n_systems)]


def _check_boxes(frames: Sequence[Atoms], names: Sequence[str]) -> None:
    """Refuse atoms so many periodic boxes away that the boxes can no longer be counted."""
    for frame, name in zip(frames, names, strict=True):
        positions = frame.arrays["positions"]
        if not (len(frame) and frame.pbc.any()):
            continue
        boxes = np.abs(np.linalg.solve(frame.cell.complete().array.T, positions.T).T[:, frame.pbc])
        if boxes.max() > _MOST_BOXES:
            at = int(np.argmax(boxes.max(axis=1)))
            raise InputError(
                f"{name}.positions: expected atoms within {_MOST_BOXES} periodic boxes of the cell, found atom {at} "
                f"at {positions[at].tolist()}; wrap it into the cell"
            )


def _joined(frames: Sequence[Atoms], names: Sequence[str]) -> Structures:
    """Positions, cells and boundary conditions of all frames in arrays of their own, checked."""
    counts = np.array([len(frame.arrays["numbers"]) for frame in frames], np.int64)
    first_atom = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    positions = _stacked([frame.arrays["positions"] for frame in frames])
    cells = _stacked([frame.cell.array for frame in frames]).reshape(-1, 3, 3)
    if positions.shape != (first_atom[-1], 3) or not (np.isfinite(positions).all() and np.isfinite(cells).all()):
        for frame, name in zip(frames, names, strict=True):  # one of them is wrong: say which
            float_array(f"{name}.positions", frame.positions, (len(frame), 3), "angstrom")
            float_array(f"{name}.cell", np.asarray(frame.cell), (3, 3), "angstrom")
    pbc = np.array([frame.pbc for frame in frames], bool).reshape(-1, 3)
    return Structures(first_atom, positions, cells, pbc)


def _stacked(arrays: Sequence[Any]) -> FloatArray:
    """Rows [n, 3] of all arrays one after the other, always a copy; not finite where they are no real numbers."""
    if any(array.dtype.kind not in "fiu" or array.shape[1:] != (3,) for array in arrays):
        return np.full((1, 3), np.nan)
    return np.concatenate([np.zeros((0, 3)), *arrays])


def shift_fields(shifts: Shifts | None) -> dict[str, Any]:
    """The four fields of a graph that describe periodic images."""
    if shifts is None:
        return {"edge_shift": None, "shifts": None}
    return {
        "edge_shift": shifts.rows,
        "shifts": shifts.vectors,
        "shift_multiples": shifts.multiples,
        "shift_system": shifts.systems,
    }


def atom_frames(atoms: Atoms | Sequence[Atoms]) -> list[Atoms]:
    """The structures of one Atoms object or a sequence of them."""
    frames: list[Any] | None = [atoms] if hasattr(atoms, "get_positions") else None
    if frames is None and isinstance(atoms, Sequence):
        frames = list(atoms)
    if frames is None or not all(hasattr(frame, "get_positions") for frame in frames):
        found = type(atoms).__name__
        if frames is not None:
            wrong = next(k for k, frame in enumerate(frames) if not hasattr(frame, "get_positions"))
            found = f"{type(frames[wrong]).__name__} at index {wrong}"
        raise InputError(f"atoms: expected ase.Atoms or a sequence of them, found {found}")
    return frames


def species_indices(frames: Sequence[Atoms], symbols: tuple[str, ...], names: Sequence[str]) -> Int32Array:
    """Species index [n_atoms] of every atom of the batch."""
    from ase.data import atomic_numbers, chemical_symbols

    table = np.full(256, -1, np.int32)
    for index, symbol in enumerate(symbols):
        if symbol in atomic_numbers:
            table[atomic_numbers[symbol]] = index
    numbers = [np.asarray(frame.numbers) for frame in frames]
    if not numbers:
        return np.zeros(0, np.int32)
    joined = np.concatenate(numbers)
    indices: Int32Array = table[np.clip(joined, 0, 255)]
    if (indices < 0).any():
        place = int(np.flatnonzero(indices < 0)[0])
        first = np.concatenate([[0], np.cumsum([len(each) for each in numbers])])
        k = int(np.searchsorted(first, place, side="right")) - 1
        number = int(joined[place])
        symbol = chemical_symbols[number] if 0 <= number < len(chemical_symbols) else f"number {number}"
        raise InputError(f"{names[k]}: atom {place - first[k]} is {symbol}, expected one of {', '.join(symbols)}")
    return indices


def _species_and_cutoff(model: HasSpecies | float, species: Sequence[str] | None) -> tuple[tuple[str, ...], float]:
    if isinstance(model, int | float):
        if not 0.0 < model < math.inf:
            raise InputError(f"model: expected a model or a cutoff in angstrom > 0, found {model!r}")
        if species is None:
            raise InputError("species: expected the symbols in the order of the species indices with a bare cutoff")
        return symbol_names("species", species), float(model)
    if not (hasattr(model, "species") and hasattr(model, "cutoff")):
        raise InputError(f"model: expected a model or a cutoff in angstrom > 0, found {type(model).__name__}")
    symbols = tuple(model.species) if species is None else symbol_names("species", species)
    return symbols, float(model.cutoff)
