"""`acegen eval`: structures of an extended XYZ file in, the same structures with energies and forces out."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.aside import check_place, same_file, written_aside
from acegen.cli.arguments import add_device, add_precision, add_subject, existing, positive
from acegen.cli.progress import Progress
from acegen.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.evaluation import Evaluation
    from acegen.runtime.loaded import LoadedModel

PROPERTIES = ("energy", "forces", "stress", "energies", "virial", "gamma", "energy_std", "forces_std")
_PER_ATOM = ("forces", "energies", "gamma", "forces_std")
_DEFAULT = "energy,forces,stress"
_STRUCTURE = re.compile(r"structure (\d+): ")  # of a batch, opening of a message
_ATOMS_PER_BATCH = 16384  # large structures are not worth batching, and their neighbour lists are large


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "eval",
        help="evaluate the structures of an extended XYZ file",
        description="Evaluate every structure of an extended XYZ file and write them with the results.",
    )
    add_subject(parser)
    parser.add_argument("structures", metavar="in.xyz", type=Path, help="extended XYZ file, any number of structures")
    parser.add_argument("-o", "--out", metavar="out.xyz", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--properties",
        default=_DEFAULT,
        help=f"comma-separated, of {', '.join(PROPERTIES)} (default: energy,forces, and stress of 3-D periodic cells)",
    )
    parser.add_argument("--gamma", action="store_true", help="add the extrapolation grade of each atom")
    parser.add_argument(
        "--active-set",
        metavar="x.asi",
        type=Path,
        help="active set of the grades (default: what the input holds, or the .asi file beside it)",
    )
    parser.add_argument("--batch", metavar="N", type=positive, default=256, help="structures at a time (default: 256)")
    parser.add_argument("--threads", metavar="N", type=positive, help="threads (default: ACEGEN_THREADS or all cores)")
    add_device(parser)
    add_precision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate in batches; the output appears under its name only when everything went well."""
    from acegen.cli.close_atoms import CloseAtoms
    from acegen.cli.extxyz import read_frames
    from acegen.xyz import count_frames

    wanted = _wanted(arguments.properties + (",gamma" if arguments.gamma else ""))
    path: Path = arguments.structures
    existing(arguments.input)
    _check_out(arguments.out, (path, arguments.input))
    n_frames = count_frames(path)
    import acegen

    with Progress(n_frames + 1) as progress:
        progress.step("load the model")
        model = acegen.load(
            arguments.input, arguments.device, arguments.precision, arguments.threads, arguments.active_set
        )
        done, close = 0, CloseAtoms(model.species)
        with (
            written_aside(arguments.out) as raw,
            io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=True) as file,
        ):
            for batch in _batches(read_frames(path), arguments.batch):
                progress.step(f"{path.name}: structure {done} of {n_frames}", done=done + 1)
                _evaluate(model, batch, done, wanted, arguments, file)
                close.look(batch, done)
                done += len(batch)
        if close.sentence():
            progress.warn(f"warning: {path}: {close.sentence()}")
        progress.say(f"{arguments.out}: {done} structures, {model.name}, {model.precision}")
    return 0


def _check_out(out: Path, sources: Sequence[Path]) -> None:
    """Refuse to replace what is read, or to write where that is impossible."""
    check_place(out)
    for source in sources:
        if same_file(out, source):
            raise InputError(f"--out: {out} is read by this command, expected another file to write")


def _wanted(text: str) -> tuple[str, ...]:
    import difflib

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in PROPERTIES:
            near = difflib.get_close_matches(name, PROPERTIES, 1)
            hint = f", did you mean {near[0]!r}?" if near else f", expected some of {', '.join(PROPERTIES)}"
            raise InputError(f"--properties: {name!r} is unknown{hint}")
    if not names:
        raise InputError(f"--properties: found none, expected some of {', '.join(PROPERTIES)}")
    return names


def _batches(frames: Iterator[Atoms], limit: int) -> Iterator[list[Atoms]]:
    """Lists of at most `limit` structures and not many more than _ATOMS_PER_BATCH atoms."""
    batch: list[Atoms] = []
    n_atoms = 0
    for atoms in frames:
        if batch and (len(batch) == limit or n_atoms + len(atoms) > _ATOMS_PER_BATCH):
            yield batch
            batch, n_atoms = [], 0
        batch.append(atoms)
        n_atoms += len(atoms)
    if batch:
        yield batch


def _evaluate(
    model: LoadedModel, batch: list[Atoms], first: int, wanted: Sequence[str], arguments: argparse.Namespace, file: Any
) -> None:
    """Evaluate one batch and write its structures."""
    from acegen.cli.extxyz import write_frame
    from acegen.runtime.graph import GraphBatch

    path = arguments.structures
    try:
        graph = GraphBatch.from_atoms(batch, model)
    except InputError as error:
        raise _named(error, model, batch, path, first) from error
    asked = {"energies" if name == "energies" else name for name in wanted if name != "stress"}
    try:
        out = model.evaluate(graph, tuple(sorted(asked | ({"virial"} if "stress" in wanted else set()))))
    except InputError as error:
        number = _STRUCTURE.match(str(error))
        if number is None:
            raise
        raise InputError(f"{path}: frame {first + int(number[1])}: {str(error)[number.end() :]}") from error
    strict = arguments.properties != _DEFAULT  # stress was asked for by name
    for k, atoms in enumerate(batch):
        part = slice(int(graph.first_atom[k]), int(graph.first_atom[k + 1]))
        info, arrays = _results(out, k, part, atoms, wanted)
        if strict and "stress" in wanted and "stress" not in info:
            raise InputError(
                f"{path}: frame {first + k}: stress needs a cell that is periodic in three directions, "
                f"found pbc {atoms.pbc.tolist()}"
            )
        write_frame(file, atoms, info, arrays)


def _results(
    out: Evaluation, k: int, part: slice, atoms: Atoms, wanted: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values for the comment line and columns of structure k."""
    info: dict[str, Any] = {}
    if "energy" in wanted:
        info["energy"] = float(out.energy[k])
    if "energy_std" in wanted:
        info["energy_std"] = float(out.energy_std[k])
    if "virial" in wanted:
        info["virial"] = out.virial[k]
    if "stress" in wanted and atoms.pbc.all() and atoms.cell.rank == 3:
        info["stress"] = -0.5 * (out.virial[k] + out.virial[k].T) / atoms.cell.volume
    return info, {name: getattr(out, name)[part] for name in _PER_ATOM if name in wanted}


def _named(error: InputError, model: LoadedModel, batch: list[Atoms], path: Path, first: int) -> InputError:
    """The same complaint, with the file and the first structure that causes it."""
    from acegen.runtime.graph import GraphBatch

    for k, atoms in enumerate(batch):
        try:
            GraphBatch.from_atoms(atoms, model)
        except InputError as single:
            return InputError(f"{path}: frame {first + k}: {str(single).removeprefix('atoms: ')}")
    return InputError(f"{path}: frames {first} to {first + len(batch) - 1}: {error}")
