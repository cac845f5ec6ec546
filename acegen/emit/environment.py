"""The Jinja environment: strict, trimmed, with the filters of emit.text and emit.sections."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import jinja2

from acegen import manifest
from acegen.emit import radial, sections, solid, text
from acegen.emit.printer import number, real
from acegen.sources import templates_folder

_TABLES = {
    "evaluate": manifest.EVALUATE,
    "site": manifest.SITE,
    "workspace": manifest.WORKSPACE,
    "committee": manifest.COMMITTEE,
    "committee_workspace": manifest.COMMITTEE_WORKSPACE,
    "design": manifest.DESIGN,
    "gradients": manifest.GRADIENTS,
    "design_workspace": manifest.DESIGN_WORKSPACE,
}


def _prototype(returns: str, name: str, table: str) -> str:
    return manifest.prototype(returns, name, _TABLES[table])


@lru_cache
def environment() -> jinja2.Environment:
    """One environment for all templates."""
    out = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder()),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    out.filters.update(
        c=number,
        real=real,
        prototype=_prototype,
        statements=radial.radial_statements,
        series_statements=radial.series_statements,
        start_statements=radial.start_statements,
        start_size=radial.start_size,
        head_statements=radial.head_statements,
        double_statements=sections.double_statements,
        harmonics=sections.harmonics,
        harmonics_adjoint=sections.harmonics_adjoint,
        harmonics_formula=sections.harmonics_formula,
        solid_harmonics=solid.solid_harmonics,
        solid_adjoint=solid.solid_adjoint,
        solid_formula=solid.solid_formula,
        tabulated=radial.tabulated,
    )
    for name in (
        "table integers doubles padded padded_size few row_length table_rows table_shapes home "
        "products slopes select_first select_second terms "
        "index_bits tile_shapes pool_shapes combination_shapes contraction_shapes mix_shapes harmonic_degrees "
        "of_centre ampersands named_constants harmonic_start table_number uses embedded has_committee folds"
    ).split():
        out.filters[name] = getattr(text, name)
    out.globals["tables"] = _TABLES
    return out


@lru_cache
def templates_digest() -> str:
    """sha256 over all templates, in order of their names."""
    found = hashlib.sha256()
    root = templates_folder()
    for folder in sorted(item.name for item in root.iterdir() if item.is_dir() and not item.name.startswith("_")):
        for item in sorted((root / folder).iterdir(), key=lambda entry: entry.name):
            if item.name.endswith(".j2"):
                found.update(f"{folder}/{item.name}\0".encode())
                found.update(item.read_bytes())
    return found.hexdigest()
