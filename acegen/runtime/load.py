"""Stage 6, load: a bundle folder becomes a `Model`; its C files are compiled into the cache when needed."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import numpy.typing as npt

from acegen.build.cache import cached_library
from acegen.errors import InputError, LoadError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray
from acegen.runtime.committee import CommitteeIn
from acegen.runtime.kept import kept_arrays
from acegen.runtime.kernel import Kernel
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.model import Model
from acegen.runtime.weights import kept_weights

FORMAT = 1  # of manifests this runtime reads
_REAL = {"float64": "double", "float32": "float"}


@overload
def load_bundle(
    path: str | os.PathLike[str],
    device: Literal["cpu"] = "cpu",
    precision: str | None = None,
    threads: int | None = None,
) -> Model: ...
@overload
def load_bundle(
    path: str | os.PathLike[str], device: str, precision: str | None = None, threads: int | None = None
) -> LoadedModel: ...
def load_bundle(
    path: str | os.PathLike[str], device: str = "cpu", precision: str | None = None, threads: int | None = None
) -> LoadedModel:
    """Load a bundle folder.

    Args:
        path: the folder that holds manifest.json.
        device: "cpu", "cuda" (the first device) or "cuda:<number>".
        precision: "float64" or "float32", arithmetic of the kernel; None: what the bundle was made for. A UserWarning
            tells where float32 loses digits that a bundle made for it keeps.
        threads: None: ACEGEN_THREADS, else all cores this process may use.

    Raises:
        LoadError: the folder is no bundle, its files were edited, or the device is unknown.
        BuildError: no compiler, or it failed.
    """
    folder = Path(path)
    if device != "cpu":
        from acegen.runtime.cuda.backend import cuda_backend

        backend = cuda_backend(device)
    manifest = read_manifest(folder)
    chosen = manifest.precision if precision is None else precision
    if chosen not in _REAL:
        raise LoadError(f"precision: expected 'float64' or 'float32', found {chosen!r}")
    n_threads = thread_count(threads)
    check_files(folder, manifest)
    if manifest.cancels and chosen == "float32":
        warnings.warn(
            f"{folder}: compiled for float64, its energies in float32 lose a digit or more to terms of order 1 that "
            "cancel, which a bundle compiled for float32 has in tables (acegen compile --precision float32)",
            stacklevel=2,
        )
    origin = (str(folder.absolute()), device, precision, threads)
    if device != "cpu":
        from acegen.runtime.cuda.load import cuda_model

        return cuda_model(folder, manifest, backend, chosen, origin)
    sources = [folder / name for name in manifest.sources]
    headers = [folder / name for name, _ in manifest.files if name.endswith(".h")]
    library = cached_library(sources, headers, (f"ACEGEN_REAL={_REAL[chosen]}",))
    kernel = Kernel(manifest.name, library, manifest.n_basis, manifest.n_coefficients)
    weights, fold = kept_weights(folder, manifest)
    model = Model(manifest, kernel, chosen, n_threads, weights, fold, origin)
    model.keep(kept_arrays(folder))
    return model


def reload_bundle(
    path: str,
    device: str,
    precision: str | None,
    threads: int | None,
    weights: Sequence[npt.ArrayLike] | None,
    active_set: Sequence[npt.ArrayLike] | None = None,
    committee: tuple[CommitteeIn, tuple[FloatArray, ...]] | None = None,
) -> LoadedModel:
    """Undo pickling of a model: load the bundle again and put back what has been replaced.

    A `committee` comes with the weights that its members belong to.
    """
    model = load_bundle(path, device, precision, threads)
    if weights is not None:
        model.weights = weights
    if active_set is not None:
        model.active_set = active_set
    if committee is not None:
        model.give_committee(*committee)
    return model


def read_manifest(folder: Path) -> Manifest:
    """Manifest of a bundle folder.

    Raises:
        LoadError: missing, damaged, or of another format.
    """
    path = folder / "manifest.json"
    try:
        manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LoadError(f"{folder}: expected a bundle folder with manifest.json, found none") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LoadError(f"{path}: not a manifest this version reads ({error}): compile the bundle again") from error
    if manifest.format != FORMAT:
        raise LoadError(f"{path}: format {manifest.format}, expected {FORMAT}: compile the bundle again")
    if not (manifest.name.isascii() and manifest.name.isidentifier()):
        raise LoadError(f"{path}: name: expected a C identifier, found {manifest.name!r}")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the source files and weights with the checksums of the manifest.

    Raises:
        LoadError: a file is missing, not listed, or not what the compiler wrote.
    """
    listed = dict(manifest.files)
    for name in manifest.sources:
        if name not in listed:
            raise LoadError(f"{folder / 'manifest.json'}: source {name} has no checksum: compile the bundle again")
    for name, checksum in manifest.files:
        if not name.endswith((".c", ".cu", ".h", ".npz")):
            continue
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise LoadError(f"{folder / name}: cannot be read ({error.strerror}): compile the bundle again") from error
        if found != checksum:
            raise LoadError(
                f"{folder / name}: edited since it was generated (sha256 {found[:12]}, manifest says {checksum[:12]}): "
                "compile the bundle again"
            )


def thread_count(threads: int | None) -> int:
    """Threads to use: the argument, else ACEGEN_THREADS, else every core this process may run on."""
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise InputError(f"threads: expected an integer >= 1 or None, found {threads!r}")
        return threads
    text = os.environ.get("ACEGEN_THREADS", "").strip()
    if text:
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise InputError(f"ACEGEN_THREADS: expected an integer >= 1, found {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
