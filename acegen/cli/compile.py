"""`acegen compile`: inputs to bundle folders, or a check that the folders are what the inputs compile to."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.cli.arguments import add_choices
from acegen.cli.output import seconds_text, size_text
from acegen.cli.progress import Progress
from acegen.errors import BuildError, SpecError

if TYPE_CHECKING:
    from acegen.compiler import Compiled

_TARGETS = {"c": ("c",), "cuda": ("c", "cuda"), "all": ("c", "cuda")}  # C is always written
_STAGES = 5  # three of compile_files, writing, building


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "compile",
        help="write bundle folders of C source and build them",
        description="Compile specifications or potentials to bundle folders, and their C files into the cache.",
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="specification or potential")
    parser.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        help="bundle folder to write; for several inputs the folder that receives one bundle per input, "
        "named after the potential (default: <stem>.acegen here)",
    )
    parser.add_argument("--target", default="c", help="c, cuda or all, comma-separated; C is always written")
    add_choices(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a folder is out of date")
    parser.add_argument("--source-only", action="store_true", help="write the bundle, run no C compiler")


def run(arguments: argparse.Namespace) -> int:
    """Compile or check all inputs; 1 when a check found a difference."""
    arguments.targets = _targets(arguments.target)
    _refuse_inputs(arguments.inputs)
    same, taken = True, dict[Path, Path]()
    with Progress(_STAGES * len(arguments.inputs)) as progress:
        for number, path in enumerate(arguments.inputs):
            began = time.perf_counter()
            compiled = _compile(path, arguments, progress, number)
            folder = _folder(path, compiled, arguments)
            if folder in taken:
                raise SpecError(
                    f"{path}: its bundle folder {folder} is that of {taken[folder]}, expected inputs with "
                    "different names"
                )
            taken[folder] = path
            if arguments.check:
                same &= _check(folder, compiled, progress)
            else:
                _write(folder, compiled, arguments, progress, began)
    if not same:
        print(f"to update: {_update_command(arguments)}")
    return 0 if same else 1


def _targets(text: str) -> tuple[str, ...]:
    """Targets of the compiler, each once."""
    found: dict[str, None] = {}
    for target in text.split(","):
        if target not in _TARGETS:
            raise SpecError(f"--target: found {target!r}, expected one of {', '.join(_TARGETS)}")
        found.update(dict.fromkeys(_TARGETS[target]))
    return tuple(found)


def _refuse_inputs(paths: list[Path]) -> None:
    """Inputs that are not there, or given twice, before the first bundle is written."""
    for number, path in enumerate(paths):
        if not path.exists():
            raise SpecError(f"{path}: expected a specification or a potential, found nothing")
        if path.resolve() in [other.resolve() for other in paths[:number]]:
            raise SpecError(f"{path}: is given twice, expected different inputs")


def _compile(path: Path, arguments: argparse.Namespace, progress: Progress, number: int) -> Compiled:
    from acegen.compiler import compile_files

    if path.is_dir():
        raise SpecError(f"{path}: is a folder, expected a specification or a potential")
    progress.warn_if_large(path)
    done = _STAGES * number

    def next_stage(stage: str) -> None:
        nonlocal done
        progress.step(f"{path.name}: {stage}", done=done)
        done += 1

    return compile_files(path, arguments.precision, arguments.form, arguments.products, next_stage, arguments.targets)


def _folder(path: Path, compiled: Compiled, arguments: argparse.Namespace) -> Path:
    if arguments.out is None:
        return Path(f"{path.stem}.acegen")
    out: Path = arguments.out
    return out if len(arguments.inputs) == 1 else out / compiled.manifest.name


def _check(folder: Path, compiled: Compiled, progress: Progress) -> bool:
    from acegen.cli.difference import differences
    from acegen.emit.bundle import contents

    wanted = contents(compiled.files, compiled.manifest, compiled.binary)
    lines = differences(folder, wanted)
    for line in lines or [f"{folder}: up to date ({len(wanted)} files)"]:
        progress.say(line)
    return not lines


def _write(folder: Path, compiled: Compiled, arguments: argparse.Namespace, progress: Progress, began: float) -> None:
    from acegen.cli.sizes import SourceSize
    from acegen.emit.bundle import write_bundle
    from acegen.runtime.load import load_bundle

    size = SourceSize.of(file.text for file in compiled.files if file.path in compiled.manifest.sources)
    progress.step(f"{folder}: write")
    write_bundle(folder, compiled.files, compiled.manifest, compiled.binary)
    generated = time.perf_counter()
    text = f"{folder}: {compiled.manifest.name} for {', '.join(compiled.manifest.species)}, "
    text += (
        f"{compiled.manifest.precision}, {size_text(size.total)} of C generated in {seconds_text(generated - began)}"
    )
    if not arguments.source_only:
        progress.step(f"{folder}: C compiler", seconds=size.compile_seconds)
        try:
            load_bundle(folder)
        except BuildError as error:
            raise BuildError(f"{folder}: written, but cannot be built (--source-only does not try): {error}") from error
        text += f", built in {seconds_text(time.perf_counter() - generated)}"
    progress.say(text)


def _update_command(arguments: argparse.Namespace) -> str:
    words = ["acegen", "compile", *map(str, arguments.inputs)]
    for name in ("out", "precision"):
        if getattr(arguments, name) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    if len(arguments.targets) > 1:
        words += ["--target", "all"]
    for name in ("form", "products"):
        if getattr(arguments, name) != "auto":
            words += [f"--{name}", getattr(arguments, name)]
    return shlex.join(words)
