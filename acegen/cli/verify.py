"""`acegen verify`: a kernel against the reference interpreter, finite differences, symmetries and its other forms."""

from __future__ import annotations

import argparse
import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.cli.arguments import FORMS, PRECISIONS, PRODUCTS, add_device, add_json, add_subject, existing
from acegen.cli.output import table, to_json
from acegen.cli.progress import Progress
from acegen.errors import InputError

if TYPE_CHECKING:
    from acegen.cli.verify_checks import Check, Subject
    from acegen.cli.verify_structures import Structure
    from acegen.runtime.loaded import LoadedModel


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "verify",
        help="check a kernel against the reference interpreter, finite differences and symmetries",
        description="Check the compiled kernel and print one line per property; exit 1 when one fails. "
        "Structures are made from the cutoffs, or read from a file. Without a card, --device host runs the CUDA "
        "kernels on the processor (needs g++; tens of seconds).",
    )
    add_subject(parser)
    parser.add_argument("--structures", metavar="file.xyz", type=Path, help="check on these instead of made ones")
    parser.add_argument("--form", choices=FORMS, default="auto", help="form of the product basis under test")
    parser.add_argument("--products", choices=PRODUCTS, default="auto", help="layout of the product basis under test")
    add_device(parser)
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float64", help="of the kernel under test (default: float64)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run all checks; 1 when one failed."""
    from acegen.cli.verify_checks import against_reference, consistency
    from acegen.cli.verify_derivatives import finite_differences, smoothness, too_coarse
    from acegen.cli.verify_device import device, device_float32
    from acegen.cli.verify_invariance import invariance
    from acegen.cli.verify_variants import double, float32, forms, selftest

    on_cpu, exact = arguments.device == "cpu", arguments.precision == "float64"
    families = (
        ("reference interpreter", against_reference),
        ("consistency", consistency if on_cpu else device),
        ("finite differences", finite_differences if exact else too_coarse),
        ("symmetries", invariance),
        *((("smoothness", smoothness),) if exact else ()),
        *((("other forms", forms),) if on_cpu else ()),
        ("float32", float32 if on_cpu else device_float32) if exact else ("float64", double),
        *((("selftest", selftest),) if on_cpu else ()),
    )
    checks: list[Check] = []
    with Progress(1 + len(families)) as progress, tempfile.TemporaryDirectory(prefix="acegen-verify-") as scratch:
        progress.step("compile")
        subject = _subject(arguments, Path(scratch))
        for name, family in families:
            progress.step(name)
            checks += family(subject)
    failed = sum(check.failed for check in checks)
    print(to_json(_json(subject, checks)) if arguments.json else _text(subject, checks))
    return 1 if failed else 0


def _subject(arguments: argparse.Namespace, scratch: Path) -> Subject:
    """Compile the input (or take the bundle) and load it in the precision under test."""
    from acegen.cli.verify_checks import Subject
    from acegen.compiler import compile_files
    from acegen.emit.bundle import write_bundle
    from acegen.errors import LoadError
    from acegen.runtime.load import load_bundle

    path = existing(arguments.input)
    if path.is_dir():
        if (arguments.form, arguments.products) != ("auto", "auto"):
            raise LoadError(f"{path}: a bundle holds one kernel, --form and --products need its input")
        model = load_bundle(path, arguments.device, arguments.precision)
        return Subject(model, path, _structures(arguments, model), scratch)
    options = {"form": arguments.form, "products": arguments.products}
    targets = ("c",) if arguments.device == "cpu" else ("c", "cuda")
    compiled = compile_files(path, arguments.precision, targets=targets, **options)
    folder = scratch / "bundle"
    write_bundle(folder, compiled.files, compiled.manifest, compiled.binary)
    model = load_bundle(folder, arguments.device, arguments.precision)
    return Subject(model, folder, _structures(arguments, model), scratch, compiled, path, options)


def _structures(arguments: argparse.Namespace, model: LoadedModel) -> tuple[Structure, ...]:
    """Made from the cutoffs, or read from the file."""
    from acegen.cli.verify_structures import from_atoms, made_structures

    path: Path | None = arguments.structures
    if path is None:
        return made_structures(model.cutoffs)
    from acegen.cli.extxyz import read_frames
    from acegen.runtime.graph import GraphBatch
    from acegen.xyz import count_frames

    count_frames(path)
    out = []
    for number, atoms in enumerate(read_frames(path)):
        with _naming(f"{path}: frame {number}"):
            GraphBatch.from_atoms(atoms, model)
        out.append(from_atoms(f"frame {number}", atoms, model.species))
    return tuple(out)


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Errors about one structure name the place it came from."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {str(error).removeprefix('atoms: ')}") from error


def _text(subject: Subject, checks: list[Check]) -> str:
    from acegen.cli.verify_derivatives import JUMPS

    rows = []
    for check in checks:
        measured = "-" if check.measured is None else f"{check.measured:.1e}"
        limit = "-" if check.measured is None else f"{check.limit:.0e}"
        rows.append([check.name, measured, limit, check.verdict, check.note])
    head = ["check", "measured", "limit", "verdict", ""]
    widest = max(len(row[3]) for row in rows)
    for row in rows:
        row[3] = row[3].ljust(widest)
        row[4] = row[4].ljust(max(len(one[4]) for one in rows))
    failed = sum(check.failed for check in checks)
    n_atoms = subject.base_graph.n_atoms
    end = f"{len(checks) - failed} of {len(checks)} good" if failed else "all good"
    if not failed and any(check.note.startswith(JUMPS) for check in checks):
        end = "good, but the potential itself jumps at the cutoff"
    energy = "site energy" if subject.model.precision == "float64" else "energy per atom"
    return (
        table(head, rows)
        + f"\n\n{subject.model.name}: {end} ({subject.model.precision}, {len(subject.structures)} structures, "
        + f"{n_atoms} atoms; errors relative to the largest {energy} without E0, force, virial, and value of each B)"
    )


def _json(subject: Subject, checks: list[Check]) -> dict[str, Any]:
    return {
        "name": subject.model.name,
        "source": subject.model.manifest.source,
        "precision": subject.model.precision,
        "passed": not any(check.failed for check in checks),
        "checks": [
            {
                "check": check.name,
                "measured": _finite(check.measured),
                "limit": check.limit,
                "verdict": check.verdict.lower(),
                "note": check.note,
            }
            for check in checks
        ],
    }


def _finite(value: float | None) -> float | str | None:
    """JSON knows no inf and nan."""
    return value if value is None or math.isfinite(value) else str(value)
