"""Graphs of ASE structures: symbols to species indices, one neighbour list per structure, all concatenated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import Int32Array, float_array, symbol_names
from acegen.runtime.edges import Shifts, share_multiples
from acegen.runtime.graph import GraphBatch, HasSpecies
from acegen.runtime.neighbours import neighbour_list

if TYPE_CHECKING:
    from ase import Atoms


def graph_from_atoms(
    atoms: Atoms | Sequence[Atoms], model: HasSpecies | float, skin: float, species: Sequence[str] | None
) -> GraphBatch:
    """See `GraphBatch.from_atoms`."""
    frames = atom_frames(atoms)
    symbols, cutoff = _species_and_cutoff(model, species)
    if not (isinstance(skin, int | float) and 0.0 <= skin < math.inf):
        raise InputError(f"skin: expected a length in angstrom >= 0, found {skin!r}")
    reach = cutoff + float(skin)
    counts = [len(frame) for frame in frames]
    first_atom = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    names = ["atoms"] if len(frames) == 1 else [f"atoms[{k}]" for k in range(len(frames))]
    indices = species_indices(frames, symbols, names)
    pieces, edge_counts = [], [np.zeros(1, np.int64)]
    for frame, name, start in zip(frames, names, first_atom, strict=False):
        place = float_array(f"{name}.positions", frame.positions, (len(frame), 3), "angstrom")
        cell = float_array(f"{name}.cell", np.asarray(frame.cell), (3, 3), "angstrom")
        i, j, multiples = neighbour_list(place, cell, np.asarray(frame.pbc, bool), reach, name)
        pieces.append((place, cell, j + np.int32(start), multiples))
        edge_counts.append(np.bincount(i, minlength=len(frame)).astype(np.int64))
    positions = np.concatenate([piece[0] for piece in pieces] or [np.zeros((0, 3))])
    cells = np.array([piece[1] for piece in pieces]).reshape(-1, 3, 3)
    edge_to = np.concatenate([piece[2] for piece in pieces] or [np.zeros(0, np.int32)])
    multiples = np.concatenate([piece[3] for piece in pieces] or [np.zeros((0, 3), np.int32)])
    owners = np.repeat(np.arange(len(frames), dtype=np.int32), [len(piece[2]) for piece in pieces])
    shifts = share_multiples(multiples, owners, cells)
    return GraphBatch(
        n_systems=len(frames),
        n_atoms=len(positions),
        n_edges=len(edge_to),
        first_atom=first_atom,
        species=indices,
        first_edge=np.cumsum(np.concatenate(edge_counts), dtype=np.int64),
        edge_to=edge_to,
        positions=positions,
        edge_vectors=None,
        cells=cells,
        pbc=np.array([frame.pbc for frame in frames], bool).reshape(-1, 3),
        cutoff=reach,
        symbols=symbols,
        **shift_fields(shifts),
    )


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
    indices = [table[np.clip(each, 0, 255)] for each in numbers]
    for k, found in enumerate(indices):
        if (found < 0).any():
            atom = int(np.flatnonzero(found < 0)[0])
            number = int(numbers[k][atom])
            symbol = chemical_symbols[number] if 0 <= number < len(chemical_symbols) else f"number {number}"
            raise InputError(f"{names[k]}: atom {atom} is {symbol}, expected one of {', '.join(symbols)}")
    return np.concatenate(indices) if indices else np.zeros(0, np.int32)


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
