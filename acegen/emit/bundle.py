"""Stage 5: the files of a bundle, and writing them so that nothing is ever half written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from acegen.basis.fold import cancels_in_single
from acegen.basis.table import basis_table
from acegen.emit.environment import environment
from acegen.emit.render import SourceFile, tidy
from acegen.emit.selftest import selftest
from acegen.emit.wrap import wrap
from acegen.errors import SpecError
from acegen.inputs import Input
from acegen.manifest import Manifest
from acegen.plan.types import Plan
from acegen.record import Record


def bundle_files(
    source: Input,
    plan: Plan,
    texts: tuple[SourceFile, ...],
    records: Mapping[str, Record] | None = None,
    kept: Mapping[str, np.ndarray] | None = None,
    design: str | None = None,
) -> tuple[tuple[SourceFile, ...], Manifest, tuple[tuple[str, bytes], ...]]:
    """All files of a bundle but the manifest, which is returned beside them.

    Args:
        records: "cuda" and "cuda_design" of the CUDA sources there are, go into the manifest.
        kept: arrays that go into weights.npz beside the weights (basis.kept).
        design: name of the forward-mode C file, goes into the manifest.
    """
    potential = source.exact
    kept, records = kept or {}, records or {}
    jinja = environment()
    tolerance = max([1e-10, *(100.0 * error for _, error in source.tables)])
    values = {
        "plan": plan,
        "test": selftest(potential),
        "tolerance": tolerance,
        "source": source,
        "kept": kept,
        "records": records,
        "functions": [len(centre.functions) for centre in potential.centres],
    }
    more = [("basis.txt", basis_table(potential))]
    for path, template in (("selftest.c", "bundle/selftest.c.j2"), ("README.md", "bundle/README.md.j2")):
        text = tidy(jinja.get_template(template).render(values))
        more.append((path, wrap(text) if path.endswith(".c") else text))
    files = (*texts, *(SourceFile(path, text) for path, text in more))
    binary: tuple[tuple[str, bytes], ...] = ()
    if potential.linear or kept:
        binary = (("weights.npz", _weights(source, plan, kept)),)
    contents = [(f.path, f.text.encode()) for f in files] + list(binary)
    sums = tuple((path, hashlib.sha256(raw).hexdigest()) for path, raw in contents)
    return files, _manifest(source, plan, sums, records, design), binary


def _manifest(
    source: Input, plan: Plan, sums: tuple[tuple[str, str], ...], records: Mapping[str, Record], design: str | None
) -> Manifest:
    potential = source.potential
    cutoffs = tuple(tuple(bond.cutoff for bond in row) for row in potential.bonds)
    pairs = [sum(function.pair for function in centre.functions) for centre in potential.centres]
    return Manifest(
        name=plan.name,
        species=plan.species,
        cutoff=max(max(row) for row in cutoffs),
        cutoffs=cutoffs,
        precision=plan.target.precision,
        n_basis=plan.n_basis,
        n_basis_per_species=tuple(
            (len(centre.functions) - pair, pair) for centre, pair in zip(potential.centres, pairs, strict=True)
        ),
        n_densities=tuple(centre.embedding.n_densities for centre in potential.centres),
        n_coefficients=len(plan.coefficients),
        linear=potential.linear,
        replaceable=potential.linear and potential.replaceable,
        source=plan.source,
        digest=plan.digest,
        templates=plan.templates,
        correlation_order=max((len(f.channels) for c in potential.centres for f in c.functions), default=0),
        operations=plan.operations,
        sources=(f"{plan.name}.c",),
        files=sums,
        design=design,
        cuda=records["cuda"].to_json() if "cuda" in records else None,
        cuda_design=records["cuda_design"].to_json() if "cuda_design" in records else None,
        cancels=plan.target.precision == "float64" and cancels_in_single(source.potential),
    )


def _weights(source: Input, plan: Plan, kept: Mapping[str, np.ndarray]) -> bytes:
    """weights.npz: weights, what is kept with them, and the map to kernel coefficients of weights that may change."""
    centres = source.potential.centres
    arrays = {f"weights_{a}": np.ascontiguousarray(centre.weights, float) for a, centre in enumerate(centres)}
    if source.potential.replaceable:
        arrays |= {
            "fold_indptr": plan.fold_indptr.astype(np.int64),
            "fold_indices": plan.fold_indices.astype(np.int64),
            "fold_values": plan.fold_values.astype(float),
        }
        if plan.fold_offset.any():
            arrays["fold_offset"] = plan.fold_offset.astype(float)
    arrays |= kept
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            raw = io.BytesIO()
            np.lib.format.write_array(raw, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # no date of today
            entry.compress_type = zipfile.ZIP_STORED  # compressed bytes differ between versions of zlib
            archive.writestr(entry, raw.getvalue())
    return out.getvalue()


def contents(
    files: tuple[SourceFile, ...], manifest: Manifest, binary: tuple[tuple[str, bytes], ...]
) -> dict[str, bytes]:
    """Path -> bytes of a whole bundle."""
    out = {f.path: f.text.encode() for f in files}
    out |= dict(binary)
    out["manifest.json"] = manifest.to_json().encode()
    return out


def refuse_foreign(folder: Path) -> None:
    """A folder that exists must be empty or a bundle, with no file that the bundle does not list.

    Raises:
        SpecError: it is something else.
    """
    if folder.is_symlink() and not folder.exists():
        raise SpecError(f"{folder}: is a link to nothing, expected a new or a bundle folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SpecError(f"{folder}: is a file, expected a new or a bundle folder")
    found = sorted(path.name for path in folder.iterdir())
    if not found:
        return
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        own = {"manifest.json", *(str(name) for name, _ in manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise SpecError(
            f"{folder}: exists and is not a bundle (no manifest.json of one), expected a new or a bundle folder"
        ) from None
    foreign = [name for name in found if name not in own]
    if foreign:
        raise SpecError(
            f"{folder}: holds {foreign[0]}, which is no file of the bundle there, "
            "expected a new folder or one with nothing else in it"
        )


def write_bundle(
    folder: Path, files: tuple[SourceFile, ...], manifest: Manifest, binary: tuple[tuple[str, bytes], ...]
) -> None:
    """Write aside, then rename; a folder that is not a bundle, or holds other files too, is never replaced.

    Raises:
        SpecError: `folder` exists and is not a bundle, holds files that are not its own, or cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    refuse_foreign(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            new = aside / "new"
            new.mkdir()
            for path, raw in contents(files, manifest, binary).items():
                (new / path).write_bytes(raw)
            old = aside / "old"
            if folder.exists():
                os.rename(folder, old)
            try:
                os.rename(new, folder)
            except OSError:
                if old.exists():
                    os.rename(old, folder)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise SpecError(f"{folder}: cannot be written ({error.strerror or error})") from error
