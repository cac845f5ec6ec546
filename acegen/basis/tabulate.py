"""Stage 2: certified tables in place of the radial formulas where a specification asks for them."""

from __future__ import annotations

from dataclasses import replace

from acegen.maths.tables import Table
from acegen.maths.tabulated import tabulated_code
from acegen.potential import Bond, Potential, RadialFamily
from acegen.spec.model import BasisSpec


def tabulate(potential: Potential, spec: BasisSpec) -> tuple[Potential, tuple[tuple[str, float], ...]]:
    """Replace families by tables: family 0 as `radial.evaluation` says, family 1 as `pair.evaluation`.

    Returns:
        The potential to compile and (bond and family, measured error) of every table.
    """
    asked = [spec.radial.evaluation, *([spec.pair.evaluation] if spec.pair else [])]
    if all(evaluation.kind != "tabulated" for evaluation in asked):
        return potential, ()
    tables: list[Table] = []
    known: dict[tuple[RadialFamily, float], int] = {}
    errors: list[tuple[str, float]] = []
    bonds: list[list[Bond]] = []
    for a, row in enumerate(potential.bonds):
        bonds.append([])
        for b, bond in enumerate(row):
            families = []
            for which, (family, evaluation) in enumerate(zip(bond.families, asked, strict=False)):
                if evaluation.kind != "tabulated":
                    families.append(family)
                    continue
                key = (family, evaluation.tolerance)
                if key not in known:
                    table = tabulated_code(family, evaluation.tolerance).table
                    if table is None:
                        raise RuntimeError("a tabulated family has no table")
                    known[key] = len(tables)
                    tables.append(table)
                number = known[key]
                name = f"{potential.species[a]}-{potential.species[b]} {('radial', 'pair')[which]}"
                errors.append((name, tables[number].error))
                families.append(RadialFamily("table", family.size, (), (("key", float(number)),)))
            bonds[-1].append(replace(bond, families=tuple(families)))
    return replace(potential, bonds=tuple(tuple(row) for row in bonds), tables=tuple(tables)), tuple(errors)
