"""Extended XYZ through ASE, with errors that name the frame and numbers written without loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.constraints import FixAtoms, FixCartesian
from ase.io.extxyz import output_column_format, read_xyz

from acegen.errors import InputError
from acegen.xyz import printable

if TYPE_CHECKING:
    from ase import Atoms

_OTHER_NAMES = {"energy": ("Energy", "free_energy"), "forces": ("force", "Forces"), "virial": ("virials", "Virial")}
_SHORT, _EXACT = "%16.8f", "%24.17g"  # ASE's eight decimals lose digits of forces


def read_frames(path: Path) -> Iterator[Atoms]:
    """Structures one after the other.

    Raises:
        InputError: a frame ASE cannot read.
    """
    number = 0
    with open(path, encoding="utf-8") as file:
        frames = read_xyz(file, slice(None))
        while True:
            try:
                atoms = next(frames)
            except StopIteration:
                return
            except (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
                raise InputError(
                    f"{path}: frame {number}: not extended XYZ that ASE reads ({printable(str(error))})"
                ) from error
            yield atoms
            number += 1


def write_frame(file: Any, atoms: Atoms, info: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Append one structure: what came in (constraints as move_mask), and results under ASE's names.

    Of what came in, labels without a prefix (`force`) go where a result (`forces`) takes their place.

    Args:
        info: energy in eV, stress in eV/angstrom^3 and the like, for the comment line.
        arrays: one row per atom, columns of the table.
    """
    out: Any = atoms.copy()  # type: ignore[no-untyped-call]
    out.calc = None
    for name, others in _OTHER_NAMES.items():  # what came in under another name of a result would contradict it
        if name in info or name in arrays:
            for other in others:
                out.info.pop(other, None)
                out.arrays.pop(other, None)
    out.info.update(info)
    columns: dict[str, Any] = {"symbols": np.array(out.get_chemical_symbols(), dtype="U2"), "positions": out.positions}
    if out.constraints:
        columns["move_mask"] = _move_mask(out)
    own = {name: array for name, array in out.arrays.items() if name not in ("numbers", "positions")}
    columns |= own | dict(arrays)
    names = list(columns)
    comment, counts, dtype, line = output_column_format(out, names, columns, True)  # type: ignore[no-untyped-call]
    rows = np.zeros(len(out), dtype)
    for name, count in zip(names, counts, strict=True):
        if count == 1:
            rows[name] = np.reshape(columns[name], len(out))
        else:
            for c in range(count):
                rows[f"{name}{c}"] = columns[name][:, c]
    line = line.replace(_SHORT, _EXACT)
    file.write(f"{len(out)}\n{comment}\n")
    file.writelines(line % tuple(row) for row in rows.tolist())


def _move_mask(atoms: Atoms) -> Any:
    """[n_atoms, 3] True where an atom may move; the two constraints extended XYZ can hold."""
    mask = np.ones((len(atoms), 3), bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            mask[constraint.index] = False
        elif isinstance(constraint, FixCartesian):
            mask[constraint.index] = ~np.asarray(constraint.mask, bool)
    return mask[:, 0] if (mask == mask[:, :1]).all() else mask
