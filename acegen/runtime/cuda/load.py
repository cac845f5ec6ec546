"""A bundle folder becomes a `CudaModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acegen.errors import LoadError
from acegen.manifest import Manifest
from acegen.record import Record
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.kept import kept_arrays
from acegen.runtime.weights import kept_weights


def cuda_model(
    folder: Path, manifest: Manifest, backend: Backend, precision: str, origin: tuple[Any, ...] = ()
) -> CudaModel:
    """The model of a bundle whose files have been checked.

    Args:
        precision: "float64" or "float32", arithmetic of the kernels; sums are always double.
        origin: arguments of `load_bundle`, to pickle the model.

    Raises:
        LoadError: the bundle holds no CUDA source, or one of another version.
        BuildError: no CUDA compiler, or it failed.
    """
    raw = getattr(manifest, "cuda", None)
    if raw is None:
        raise LoadError(f"{folder}: expected a bundle with CUDA kernels, found C only: compile it with --target all")
    try:
        record = Record.from_json(dict(raw))
    except (ValueError, TypeError, KeyError) as error:
        raise LoadError(f"{folder / 'manifest.json'}: {error}: compile the bundle again") from error
    path = folder / record.source
    if record.source not in dict(manifest.files):
        raise LoadError(f"{folder / 'manifest.json'}: source {record.source} has no checksum: compile the bundle again")
    weights, fold = kept_weights(folder, manifest)
    source = path.read_text(encoding="utf-8")
    model = CudaModel(manifest, record, source, backend, precision, weights, fold, origin)
    model.keep(kept_arrays(folder))
    return model
