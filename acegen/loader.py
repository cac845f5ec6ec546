"""Top floor: `acegen.load` and `acegen.compile`, where the compiler and the runtime meet."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from acegen.aside import same_file
from acegen.build.cache import cache_folder, digest_of, unwritable
from acegen.errors import LoadError, SpecError
from acegen.manifest import Manifest
from acegen.runtime.load import check_files, load_bundle, read_manifest
from acegen.sources import templates_folder

if TYPE_CHECKING:
    from acegen.runtime.kept import ActiveSetIn
    from acegen.runtime.loaded import LoadedModel
    from acegen.runtime.model import Model


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle folder: generated sources and their manifest."""

    path: Path
    manifest: Manifest

    @overload
    def load(
        self, device: Literal["cpu"] = "cpu", precision: str | None = None, threads: int | None = None
    ) -> Model: ...
    @overload
    def load(self, device: str, precision: str | None = None, threads: int | None = None) -> LoadedModel: ...
    def load(self, device: str = "cpu", precision: str | None = None, threads: int | None = None) -> LoadedModel:
        """Model of this bundle, see `acegen.load`."""
        return load_bundle(self.path, device, precision, threads)


def compile(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    targets: Sequence[str] = ("c",),
    precision: str | None = None,
) -> Bundle:
    """Compile a specification or a fitted potential to a bundle folder, and its C files to a cached library.

    Args:
        source: spec.yaml, a potential (.yace, .yaml, .ace), or a linear model of ace-jax (.npz) or ACEpotentials
            (.json).
        out: the folder to write; default: `<stem of source>.acegen` in the current folder.
        targets: "c", always written; "cuda": CUDA kernels too, for device="cuda".
        precision: "float64" or "float32", arithmetic of the kernel; None: what the input asks for.

    Raises:
        SpecError, PotentialError: the input breaks a rule.
        BuildError: no C compiler, or it failed.
        LoadError: unknown target.
    """
    wanted = (targets,) if isinstance(targets, str) else tuple(targets)
    for target in wanted:
        if target not in ("c", "cuda"):
            raise LoadError(f"targets: expected some of 'c', 'cuda', found {target!r}")
    path = _existing(source)
    folder = Path(f"{path.stem}.acegen" if out is None else out).expanduser()
    _write_bundle(path, folder, precision, wanted)
    bundle = Bundle(folder, read_manifest(folder))
    bundle.load()
    return bundle


@overload
def load(
    path: str | os.PathLike[str],
    device: Literal["cpu"] = "cpu",
    precision: str | None = None,
    threads: int | None = None,
    active_set: ActiveSetIn | None = None,
) -> Model: ...
@overload
def load(
    path: str | os.PathLike[str],
    device: str,
    precision: str | None = None,
    threads: int | None = None,
    active_set: ActiveSetIn | None = None,
) -> LoadedModel: ...
def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    precision: str | None = None,
    threads: int | None = None,
    active_set: ActiveSetIn | None = None,
) -> LoadedModel:
    """Load a bundle folder, or any input `acegen.compile` takes (compiled once, into the user's cache).

    Args:
        path: bundle folder, specification or potential.
        device: "cpu", "cuda" (the first device) or "cuda:<number>".
        precision: "float64" or "float32"; None: what the bundle or the input asks for.
        threads: None: ACEGEN_THREADS, else all cores this process may use.
        active_set: for extrapolation grades: an `.asi` file, or an inverse matrix per species; None: what the bundle
            or the weights file holds, for a PACE potential `x.yaml` the file `x.asi` beside it.

    Raises:
        LoadError: nothing to load there, or a damaged bundle.
        SpecError, PotentialError, BuildError: as for `acegen.compile`.
        InputError: the active set does not fit the model.
    """
    source = _existing(path)
    targets: tuple[str, ...] = ("c",)
    if device != "cpu":
        from acegen.runtime.cuda.backend import cuda_backend

        cuda_backend(device)  # what is missing is said before anything is compiled
        targets = ("c", "cuda")
    folder = source if source.is_dir() else _compiled(source, precision, targets)
    model = load_bundle(folder, device, precision, threads)
    if active_set is not None:
        model.active_set = active_set
    return model


def export(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write a specification or a potential as a `.yace` file, exactly: read again, it has the same energies.

    Args:
        source: whatever `acegen.compile` takes, with radial functions that PACE has (`radial.kind` of a
            specification) and spherical harmonics.
        out: the file to write, ending in .yace; one that is there is replaced.

    Returns:
        The path of the file; with a UserWarning where all weights are zero.

    Raises:
        SpecError, PotentialError: the input breaks a rule, or holds something a `.yace` file cannot.
        LoadError: nothing to read there, or `out` is the very file.
    """
    from acegen.inputs import read_input  # SymPy only when something must be read
    from acegen.pace.write import write_yace

    path = _existing(source)
    if path.is_dir():
        raise LoadError(f"{path}: is a folder, expected a specification or a potential")
    target = Path(out).expanduser()
    if same_file(path, target):
        raise LoadError(f"{target}: is what is read, expected another file to write")
    exact = read_input(path).exact
    write_yace(exact, target)
    if not any(centre.weights.any() for centre in exact.centres):
        warnings.warn(f"{path.name}: its weights are all zero: fit it first", stacklevel=2)
    return target


def _existing(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise LoadError(f"path: expected a text or a path, found {path!r}")
    found = Path(path).expanduser()
    if not found.exists():
        raise LoadError(f"{found}: expected a bundle folder, a specification or a potential, found nothing")
    return found


def _compiled(source: Path, precision: str | None, targets: tuple[str, ...]) -> Path:
    """Bundle of `source` in the cache, written when it is not there or damaged."""
    if precision not in (None, "float64", "float32"):
        raise LoadError(f"precision: expected 'float64', 'float32' or None, found {precision!r}")
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise LoadError(f"{source}: cannot be read ({error.strerror or error})") from error
    shelf = cache_folder() / "bundles"
    folder = shelf / digest_of([source.name, raw, precision or "", *targets, compiler_digest(), *_referenced(source)])
    if _is_whole(folder):
        return folder
    try:
        shelf.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bundle-", dir=shelf) as scratch:
            _shelve(source, Path(scratch), folder, precision, targets)
    except OSError as error:
        raise unwritable(shelf, error) from error
    except SpecError as error:
        if isinstance(error.__cause__, OSError) and shelf.as_posix() in str(error):
            raise unwritable(shelf, error.__cause__) from error
        raise
    return folder


def _shelve(source: Path, scratch: Path, folder: Path, precision: str | None, targets: tuple[str, ...]) -> None:
    """Write the bundle of `source` in `scratch`, then move it to `folder`."""
    written = scratch / "bundle"
    _write_bundle(source, written, precision, targets)
    if folder.exists() and not _is_whole(folder):
        os.replace(folder, scratch / "damaged")
    try:
        os.rename(written, folder)
    except OSError:
        if not _is_whole(folder):  # else another process was faster, and wrote the same
            raise


def _is_whole(folder: Path) -> bool:
    try:
        check_files(folder, read_manifest(folder))
    except LoadError:
        return False
    return True


def _write_bundle(source: Path, folder: Path, precision: str | None, targets: tuple[str, ...]) -> None:
    from acegen.compiler import compile_bundle  # SymPy and Jinja only when something must be compiled

    compile_bundle(source, out=folder, precision=precision, targets=targets)


def _referenced(source: Path) -> Iterable[str]:
    """Name and checksum of every array file that the reader of `source` opens (weights, radial weights)."""
    from acegen.spec.files import array_files  # YAML only when an input is loaded

    for file in array_files(source):
        yield file.file
        yield file.sha256


@functools.lru_cache(maxsize=1)
def compiler_digest() -> str:
    """sha256 of everything that writes code: the Python files and templates of acegen itself."""
    parts: list[str | bytes] = []
    for root, pattern in ((Path(__file__).resolve().parent, "*.py"), (templates_folder(), "*.j2")):
        for path in sorted(root.rglob(pattern)):
            parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    return digest_of(parts)
