"""Stage 4: Potential and Programs -> Plan for a target."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from acegen.maths.embedding import embedding_code
from acegen.maths.section import Section
from acegen.plan.edges import EdgeBuilder
from acegen.plan.kernels import kernel_plan
from acegen.plan.labels import component_labels
from acegen.plan.products import CoefficientMap, combined_fold, kernel_name, shape_plan
from acegen.plan.series import CsrRows, is_unit, series_fold, sums
from acegen.plan.types import CentrePlan, KernelPlan, MixPlan, Plan, ShapePlan, Target
from acegen.potential import Centre, Potential
from acegen.program.cost import edge_operations, mix_operations, product_operations
from acegen.program.types import Program


@dataclass
class _Collected:
    """What the centres add up to, filled one centre after another."""

    edges: EdgeBuilder
    shapes: list[ShapePlan] = field(default_factory=list)
    maps: list[CoefficientMap] = field(default_factory=list)
    centres: list[CentrePlan] = field(default_factory=list)
    kernels: dict[str, KernelPlan] = field(default_factory=dict)
    embeddings: dict[Section, int] = field(default_factory=dict)
    folds: list[CsrRows] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    known: dict[bytes, int] = field(default_factory=dict)
    first_weight: int = 0
    first_coefficient: int = 0

    def add_centre(self, potential: Potential, a: int, program: Program, target: Target) -> None:
        """Plan the bonds, the product stage, the coefficients and the embedding of one species."""
        centre = potential.centres[a]
        for group in program.steps:
            self.kernels.setdefault(kernel_name(group.kernel), kernel_plan(group.kernel))
        key = _structure(program)
        if key not in self.known:
            self.known[key] = len(self.shapes)
            shape, coefficient_map = shape_plan(
                program,
                len(self.shapes),
                target,
                component_labels(program, centre, potential.species),
                potential.replaceable,
            )
            self.shapes.append(shape)
            self.maps.append(coefficient_map)
        shape = self.shapes[self.known[key]]
        fold = _weight_fold(program, self.maps[self.known[key]], self.first_weight)
        n_coefficients = shape.n_coefficients
        for b in range(len(potential.species)):
            found = sums(potential, a, b, program) if target.series else ()
            self.edges.add_bond(potential, a, b, program, found, n_coefficients)
            more = series_fold(found, program, self.first_weight)
            fold = _joined(fold, more)
            n_coefficients += len(more[0]) - 1
        self.folds.append(fold)
        held = _held_in_tables(centre, program, potential.replaceable)
        self.offsets.append(-_apply(fold, held, self.first_weight))
        self.values.append(_apply(fold, centre.weights.ravel() - held, self.first_weight))
        chosen = []
        for exponent in centre.embedding.exponents:
            code = embedding_code(centre.embedding.kind, exponent)
            number = self.embeddings.setdefault(code.section, len(self.embeddings))
            chosen.append((number, tuple(constant.value for constant in code.constants)))
        self.centres.append(
            _centre_plan(potential, a, centre, program, shape.index, self.first_coefficient, tuple(chosen))
        )
        self.first_coefficient += n_coefficients
        self.first_weight += centre.weights.size


def make_plan(
    potential: Potential, programs: tuple[Program, ...], target: Target, command: str, templates: str
) -> Plan:
    """Lay out the whole kernel.

    Args:
        potential, programs: stage 2 and 3; target: choices of layout;
        command: how to regenerate, printed in the header; templates: digest of the templates.
    """
    found = _Collected(EdgeBuilder(target))
    for a, program in enumerate(programs):
        found.add_centre(potential, a, program, target)
    edges, shapes = found.edges, found.shapes
    counts = np.concatenate([np.diff(fold[0]) for fold in found.folds])
    return Plan(
        name=potential.name,
        title=_title(potential),
        command=command,
        source=potential.source,
        digest=potential.digest,
        templates=templates,
        real={"float64": "double", "float32": "float"}[target.precision],
        species=potential.species,
        angular=potential.angular,
        switching=potential.switching,
        largest_cutoff=potential.largest_cutoff,
        target=target,
        radials=tuple(edges.radials),
        cores=tuple(edges.cores),
        series=tuple(edges.series),
        edges=tuple(edges.edges),
        bonds=tuple(edges.bonds),
        tables=tuple(edges.tables),
        kernels=tuple(found.kernels[name] for name in sorted(found.kernels)),
        shapes=tuple(shapes),
        centres=tuple(found.centres),
        embeddings=tuple(found.embeddings),
        coefficients=np.concatenate(found.values),
        fold_indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        fold_indices=np.concatenate([fold[1] for fold in found.folds]),
        fold_values=np.concatenate([fold[2] for fold in found.folds]),
        fold_offset=np.concatenate(found.offsets) + 0.0,
        n_basis=max(len(centre.functions) for centre in potential.centres),
        max_components=max(shape.n_components for shape in shapes),
        max_densities=max(shape.n_densities for shape in shapes),
        max_primitives=max((edge.n_primitives for edge in edges.edges), default=1),
        l_max=max((edge.l_max for edge in edges.edges), default=0),
        operations=_operations(potential, programs, edges),
    )


def _title(potential: Potential) -> str:
    orders = {len(f.channels) for centre in potential.centres for f in centre.functions}
    return f"atomic cluster expansion for {', '.join(potential.species)}, correlation order {max(orders, default=0)}"


def _structure(program: Program) -> bytes:
    """Programs with equal bytes share their product code (linear ACE: same basis for every centre)."""
    parts: list[bytes] = [
        repr((program.form, program.n_components, program.n_densities, program.n_functions, program.folded)).encode()
    ]
    for group in program.steps:
        parts += [repr((group.kernel, group.level)).encode(), group.rows.tobytes()]
    for fold in (program.linear_fold, program.entries.fold):
        parts += [fold.indptr.tobytes(), fold.indices.tobytes(), fold.values.tobytes()]
    e = program.entries
    parts += [program.linear.tobytes(), e.components.tobytes(), e.x.tobytes(), e.y.tobytes()]
    return b"|".join(parts)


def _weight_fold(program: Program, coefficient_map: CoefficientMap, first_weight: int) -> CsrRows:
    """CSR rows: kernel coefficient <- flattened weights [n_functions, n_densities] of this centre."""
    fold = combined_fold(program)
    entry = coefficient_map.entry
    counts = np.where(entry < 0, 0, np.diff(fold.indptr)[np.maximum(entry, 0)])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    owner = np.repeat(np.arange(len(entry)), counts)
    position = fold.indptr[entry[owner]] + np.arange(len(owner)) - indptr[owner]
    indices = fold.indices[position] * program.n_densities + coefficient_map.density[owner] + first_weight
    return indptr, indices, fold.values[position] * coefficient_map.factor[owner]


def _held_in_tables(centre: Centre, program: Program, replaceable: bool) -> np.ndarray:
    """Flattened weights [n_functions * n_densities] that tables hold already where weights may change, else 0.

    Coefficients are then those of the difference: float32 has no large order-1 terms to cancel near these weights.
    """
    held = np.zeros(centre.weights.shape)
    if replaceable and program.folded:
        rows = [f for f, function in enumerate(centre.functions) if len(function.channels) == 1]
        held[rows] = centre.weights[rows]
    return held.ravel()


def _joined(one: CsrRows, other: CsrRows) -> CsrRows:
    """The rows of both."""
    return (
        np.concatenate([one[0], other[0][1:] + one[0][-1]]),
        np.concatenate([one[1], other[1]]),
        np.concatenate([one[2], other[2]]),
    )


def _apply(fold: CsrRows, weights: np.ndarray, first_weight: int) -> np.ndarray:
    indptr, indices, values = fold
    out = np.zeros(len(indptr) - 1)
    np.add.at(out, np.repeat(np.arange(len(out)), np.diff(indptr)), values * weights[indices - first_weight])
    return out


def _centre_plan(
    potential: Potential,
    a: int,
    centre: Centre,
    program: Program,
    shape: int,
    first_coefficient: int,
    embeddings: tuple[tuple[int, tuple[float, ...]], ...],
) -> CentrePlan:
    mixes, tables, first = [], [], 0
    for mix in program.mixes:
        pool = program.pools[mix.pool]
        n, k = mix.matrix.shape
        mixes.append(MixPlan(2 * mix.l + 1, n, k, pool.offset, pool.stride, mix.offset, first, mix.add))
        tables.append(mix.matrix.ravel())
        first += n * k
    return CentrePlan(
        index=a,
        symbol=potential.species[a],
        shape=shape,
        n_pooled=program.n_pooled,
        mixes=tuple(mixes),
        mixing=np.concatenate(tables) if tables else np.zeros(0),
        first_coefficient=first_coefficient,
        n_functions=len(centre.functions),
        n_densities=program.n_densities,
        e0=centre.e0,
        embeddings=embeddings,
        scales=centre.embedding.scales,
        unit=is_unit(potential, centre),
        core_cutoff=centre.core_cutoff,
        core_width=centre.core_width,
    )


def _operations(potential: Potential, programs: tuple[Program, ...], edges: EdgeBuilder) -> tuple[tuple[str, int], ...]:
    """Largest over species: multiply-adds per edge and per atom."""
    n = len(potential.species)
    summed = [
        sum(one.size for one in edges.edges[bond.edge].series) if bond.edge >= 0 else 0 for bond in edges.bonds
    ]  # fmt: skip
    return (
        ("edge", max(edge_operations(p, b, summed[a * n + b]) for a, p in enumerate(programs) for b in range(n))),
        ("mixing", max(mix_operations(p) for p in programs)),
        ("products", max(product_operations(p) for p in programs)),
    )
