"""Labelled structures: what a fit is made of, read from files or taken from ASE objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.xyz import count_frames, printable

if TYPE_CHECKING:
    from ase import Atoms

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # xx yy zz yz xz xy


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One structure as it came: where from, and the ASE object with all its labels."""

    source: str  # file as it was named, or "train" and the like for structures handed over in Python
    number: int  # position in that source
    atoms: Atoms

    @property
    def place(self) -> str:
        """Opening of every message about it."""
        return f"{self.source}: frame {self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One structure with the labels a fit uses; None where it has none."""

    frame: Frame
    kind: str  # its type, such as "liquid"; "all" where nothing is said
    energy: float | None  # eV
    forces: FloatArray | None  # [n_atoms, 3] eV/A
    virial: FloatArray | None  # [6] eV, xx yy zz yz xz xy of W = -V stress

    @property
    def atoms(self) -> Atoms:
        return self.frame.atoms

    @property
    def n_atoms(self) -> int:
        return len(self.frame.atoms)


def read_frames(source: Any, name: str) -> list[Frame]:
    """Structures of one file, of several files, or of ASE objects.

    Args:
        source: a path, a structure, or a sequence of either.
        name: how messages call structures that come from no file.

    Raises:
        InputError: nothing there, or a frame ASE cannot read.
    """
    if isinstance(source, str | os.PathLike):
        return list(_frames_of_file(Path(source).expanduser()))
    if hasattr(source, "get_positions"):
        return [Frame(name, 0, source)]
    if not isinstance(source, Sequence):
        raise InputError(f"{name}: expected a path, structures, or a list of them, found {type(source).__name__}")
    frames: list[Frame] = []
    for number, item in enumerate(source):
        if hasattr(item, "get_positions"):
            frames.append(Frame(name, number, item))
        elif isinstance(item, str | os.PathLike):
            frames += _frames_of_file(Path(item).expanduser())
        else:
            raise InputError(f"{name}: expected paths or ase.Atoms, found {type(item).__name__} at index {number}")
    if not frames:
        raise InputError(f"{name}: holds no structures")
    return frames


def _frames_of_file(path: Path) -> Iterator[Frame]:
    """Every structure of a file, in any format that ASE reads."""
    from ase.io import iread

    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected a file of structures (extended XYZ), found {what}")
    if path.suffix in (".xyz", ".extxyz"):
        count_frames(path)  # or what follows a blank line would be missing without a word
    frames = iread(path, ":", do_not_split_by_at_sign=True)
    number = 0
    while True:
        try:
            atoms = next(frames, None)
        except Exception as error:  # every reader of ASE has its own ways to fail
            why = printable(str(error) or type(error).__name__)
            raise InputError(f"{path}: frame {number}: not a structure that ASE reads ({why})") from error
        if atoms is None:
            break
        yield Frame(str(path), number, atoms)
        number += 1
    if number == 0:
        raise InputError(f"{path}: holds no structures, expected an extended XYZ file")
