"""The numbers `acegen info` prints, from an input (read, planned and rendered) or from a bundle folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acegen.cli.sizes import SourceSize, thread_bytes
from acegen.manifest import Manifest

_NEIGHBOURS = 60  # of a typical dense solid; where a count depends on it, it is printed with it
_ATOMS, _VECTOR_BYTES = 1_000, 64  # for the estimate of memory, printed with it
_ROW = re.compile(r"^centre (\w+): (\d+) A, (\d+) real products, (\d+) B, (\d+) pair functions$")
_SAME = re.compile(r"^centre (\w+): the same rows as centre (\w+)$")


def of_input(
    path: Path, precision: str | None, form: str, products: str, step: Callable[[str], None]
) -> dict[str, Any]:
    """Sizes of an input; stages read to render, in memory."""
    from acegen.compiler import compile_plan
    from acegen.emit.render import render_c

    step("read and plan")
    source, plan = compile_plan(path, precision, form, products)
    step("render")
    float32 = plan.real == "float"
    size = SourceSize.of((file.text for file in render_c(plan) if file.path.endswith(".c")), float32)
    step("count")
    potential = source.potential
    species = [_species_of_input(potential, plan, a) for a in range(len(plan.species))]
    orders = (len(f.channels) for centre in potential.centres for f in centre.functions)
    cutoff = max(bond.cutoff for row in potential.bonds for bond in row)
    memory = thread_bytes(plan, _NEIGHBOURS, _ATOMS, _VECTOR_BYTES)
    return {
        "name": plan.name,
        "symbols": list(plan.species),
        "source": plan.source,
        "digest": plan.digest,
        "correlation_order": max(orders, default=0),
        "cutoff": cutoff,
        "precision": "float32" if float32 else "float64",
        "linear": potential.linear,
        "replaceable": potential.linear and potential.replaceable,
        "species": species,
        "table_errors": dict(source.tables),
        **_costs(dict(plan.operations), size, memory),
    }


def _species_of_input(potential: Any, plan: Any, a: int) -> dict[str, Any]:
    from acegen.basis.real_form import counts
    from acegen.program.monomials import blocks

    size, shape = counts(potential, a), plan.shapes[plan.centres[a].shape]
    return {
        "symbol": plan.species[a],
        "n_channels": size.n_channels,
        "n_A": size.n_A,
        "n_AA": size.n_AA,
        "n_B": size.n_B,
        "n_pair": size.n_pair,
        "n_monomials": sum(len(block.ms) for block in blocks(potential.centres[a])),
        "n_densities": shape.n_densities,
        "form": shape.form,
        "layout": "tiled" if shape.loop else "unrolled",
        "n_components": shape.n_components,
        "n_products": sum(len(one.rows) for one in shape.steps),
        "n_coefficients": shape.n_coefficients,
    }


def of_bundle(folder: Path) -> dict[str, Any]:
    """Sizes of a bundle, from its manifest, C files and basis.txt.

    Raises:
        LoadError: no bundle, or edited.
    """
    from acegen.runtime.load import check_files, read_manifest

    manifest = read_manifest(folder)
    check_files(folder, manifest)
    texts = ((folder / name).read_text(encoding="utf-8") for name in manifest.sources)
    return {
        "name": manifest.name,
        "symbols": list(manifest.species),
        "source": manifest.source,
        "digest": manifest.digest,
        "correlation_order": manifest.correlation_order,
        "cutoff": manifest.cutoff,
        "precision": manifest.precision,
        "linear": manifest.linear,
        "replaceable": manifest.replaceable,
        "species": _species_of_bundle(folder, manifest),
        **_costs(dict(manifest.operations), SourceSize.of(texts, manifest.precision == "float32"), None),
    }


def _species_of_bundle(folder: Path, manifest: Manifest) -> list[dict[str, Any]]:
    known = _basis_counts(folder / "basis.txt")
    out = []
    for a, symbol in enumerate(manifest.species):
        n_B, n_pair = manifest.n_basis_per_species[a]
        out.append({"symbol": symbol, **known.get(symbol, {}), "n_B": n_B, "n_pair": n_pair})
        out[-1]["n_densities"] = manifest.n_densities[a]
    return out


def _basis_counts(path: Path) -> dict[str, dict[str, int]]:
    """Numbers of A and AA per centre from the headings of basis.txt; empty when the file is not there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    out: dict[str, dict[str, int]] = {}
    for line in lines:
        if match := _ROW.match(line):
            out[match[1]] = {"n_A": int(match[2]), "n_AA": int(match[3])}
        elif (match := _SAME.match(line)) and match[2] in out:
            out[match[1]] = dict(out[match[2]])
    return out


def _costs(operations: Mapping[str, int], size: SourceSize, memory: int | None) -> dict[str, Any]:
    """Counts and estimates; the estimate of the compile time is that of sizes.SourceSize."""
    per_atom = sum(count * (_NEIGHBOURS if stage == "edge" else 1) for stage, count in operations.items())
    estimates: dict[str, Any] = {"neighbours": _NEIGHBOURS, "compile_seconds": round(size.compile_seconds, 2)}
    if memory is not None:
        estimates |= {"thread_bytes": memory, "atoms": _ATOMS, "vector_bytes": _VECTOR_BYTES}
    return {
        "operations": dict(operations),
        "operations_per_atom": per_atom,
        "source_bytes": {"code": size.code, "tables": size.table_text},
        "table_bytes": size.tables,
        "estimates": estimates,
    }
