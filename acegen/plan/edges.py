"""Stage 4: radial functions, bonds and edge shapes: which C functions exist and which numbers each bond brings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from acegen.maths.codes import RadialCode
from acegen.maths.core import core_code
from acegen.maths.derivative import prune
from acegen.maths.radial import head_derivative, radial_code, radial_derivative
from acegen.maths.section import Constant
from acegen.maths.series import series_section
from acegen.maths.tables import Table
from acegen.plan.series import Sum
from acegen.plan.tiles import combination_tiles, pooling
from acegen.plan.types import (
    BondPlan,
    CombinationPlan,
    EdgePlan,
    EdgeSeries,
    RadialPlan,
    SeriesPlan,
    TablePlan,
    Target,
)
from acegen.potential import Bond, Potential
from acegen.program.types import PoolBlock, Program


@dataclass
class EdgeBuilder:
    """Collects the distinct functions while bonds are planned one after another."""

    target: Target
    radials: list[RadialPlan] = field(default_factory=list)
    cores: list[RadialPlan] = field(default_factory=list)
    series: list[SeriesPlan] = field(default_factory=list)
    edges: list[EdgePlan] = field(default_factory=list)
    bonds: list[BondPlan] = field(default_factory=list)
    tables: list[TablePlan] = field(default_factory=list)
    _radial_of: dict[object, int] = field(default_factory=dict)
    _edge_of: dict[object, int] = field(default_factory=dict)
    _table_of: dict[bytes, str] = field(default_factory=dict)

    def add_bond(
        self,
        potential: Potential,
        centre: int,
        neighbour: int,
        program: Program,
        sums: tuple[Sum, ...] = (),
        first_series: int = 0,
    ) -> None:
        """Plan one ordered pair; `sums` are its families that are summed, their coefficients begin at first_series."""
        bond = potential.bonds[centre][neighbour]
        pools = [pool for pool in program.pools if pool.neighbour == neighbour]
        combinations = [c for c in program.combinations if c.neighbour == neighbour]
        wanted = {k for pool in pools for k in pool.primitives} | {k for c in combinations for k in c.sources}
        base = pools[0].offset if pools else 0
        constants: list[Constant] = []
        radials: list[tuple[int, int, int, int]] = []
        series: dict[tuple[int, int, int, int], EdgeSeries] = {}
        names: list[str] = []
        first = 0
        for number, family in enumerate(bond.families):
            if wanted & set(range(first, first + family.size)):
                key = dict(family.parameters).get("key")
                table = None if key is None else potential.tables[int(key)]  # type: ignore[arg-type]
                code = radial_code(family, table)  # type: ignore[arg-type]
                radials.append((self._radial(code, family.size), len(constants), first, family.size))
                for one in (one for one in sums if one.family == number):
                    plan = self._series(one, family.size)
                    pooled = tuple(component - base for component in one.pooled)
                    series[radials[-1]] = EdgeSeries(plan, *radials[-1][:3], pooled, one.coefficient)
                constants += [*code.constants, *code.head_constants]
                names.append(self._table(code.table) if code.table is not None else "")
            first += family.size
        core, core_constant = -1, len(constants)
        if bond.core is not None:
            code = core_code(bond.core)
            core = self._core(code)
            constants += code.constants
        plans, combined = combination_tiles(combinations, self.target.accumulators)
        size = first + sum(len(c.matrix) for c in combinations)
        edge = -1
        if radials or core >= 0:
            edge = self._edge(tuple(radials), tuple(names), size, plans, pools, core, core_constant, series)
        self.bonds.append(
            BondPlan(
                centre=centre,
                neighbour=neighbour,
                edge=edge,
                name=f"BOND_{centre}_{neighbour}",
                constants=tuple((c.symbol.name, c.value, c.formula) for c in constants),
                first_pooled=base,
                table_names=tuple(name for name in names if name),
                combined=combined,
                cutoff=bond.cutoff,
                switch_start=bond.switch_window[0] - bond.switch_window[1],
                switch_width=bond.switch_window[1],
                core_end=_core_end(bond),
                first_series=first_series,
            )
        )

    def _radial(self, code: RadialCode, size: int) -> int:
        degree = code.table.degree if code.table is not None else 0
        key = (prune(code.section), code.head, size, degree)
        if key not in self._radial_of:
            self._radial_of[key] = len(self.radials)
            self.radials.append(
                RadialPlan(
                    index=len(self.radials),
                    section=prune(code.section),
                    gradient=radial_derivative(code),
                    size=size,
                    constants=tuple(c.symbol.name for c in code.constants),
                    head=None if code.head is None else prune(code.head),
                    head_gradient=head_derivative(code),
                    head_constants=tuple(c.symbol.name for c in code.head_constants),
                    degree=degree,
                )
            )
        return self._radial_of[key]

    def _series(self, one: Sum, size: int) -> int:
        key = ("series", one.seeds.section, size)
        if key not in self._radial_of:
            self._radial_of[key] = len(self.series)
            code = one.seeds
            names = tuple(c.symbol.name for c in code.constants)
            seeds = RadialPlan(len(self.series), prune(code.section), radial_derivative(code), 2, names)
            self.series.append(SeriesPlan(len(self.series), seeds, series_section(size)))
        return self._radial_of[key]

    def _core(self, code: RadialCode) -> int:
        key = ("core", prune(code.section))
        if key not in self._radial_of:
            self._radial_of[key] = len(self.cores)
            names = tuple(c.symbol.name for c in code.constants)
            self.cores.append(RadialPlan(len(self.cores), prune(code.section), radial_derivative(code), 1, names))
        return self._radial_of[key]

    def _table(self, table: Table) -> str:
        key = table.coefficients.tobytes() + repr(table.segments).encode()
        if key not in self._table_of:
            name = f"TABLE_{len(self.tables)}"
            self._table_of[key] = name
            self.tables.append(TablePlan(name, table.segments, table.degree, table.size, table.coefficients))
        return self._table_of[key]

    def _edge(
        self,
        radials: tuple[tuple[int, int, int, int], ...],
        names: tuple[str, ...],
        n_primitives: int,
        combinations: tuple[CombinationPlan, ...],
        pools: list[PoolBlock],
        core: int,
        core_constant: int,
        series: dict[tuple[int, int, int, int], EdgeSeries],
    ) -> int:
        base = pools[0].offset if pools else 0
        key = (
            radials,
            tuple(bool(name) for name in names),
            n_primitives,
            combinations,
            tuple((p.l, p.primitives, p.offset - base, p.stride) for p in pools),
            core,
            core_constant,
            tuple(series.values()),
        )
        if key not in self._edge_of:
            self._edge_of[key] = len(self.edges)
            whole = EdgePlan(
                index=len(self.edges),
                radials=radials,
                tables=sum(bool(name) for name in names),
                combinations=combinations,
                n_primitives=n_primitives,
                core=core,
                core_constant=core_constant,
                block=self.target.block_slots,
                **pooling(pools, base, self.target.accumulators),
            )
            if series:
                summed = frozenset(k for one in series.values() for k in range(one.first, one.first + one.size))
                whole = replace(
                    whole,
                    radials=tuple(radial for radial in radials if radial not in series),
                    series=tuple(series.values()),
                    whole=whole,
                    **pooling(pools, base, self.target.accumulators, summed),
                )
            self.edges.append(whole)
        return self._edge_of[key]


def _core_end(bond: Bond) -> float:
    """Distance beyond which the core repulsion is exactly zero.

    Exponential cores end at h r^2 = 50, switched ones (inner cutoff mode "distance") at r_in.
    """
    if bond.core is None or bond.core.kind != "exponential":
        return bond.cutoff
    numbers = {name: value for name, value in bond.core.parameters if isinstance(value, float | int)}
    end = bond.cutoff
    if numbers.get("h", 0.0) > 0.0:
        end = min(end, 1.000001 * math.sqrt(50.0 / numbers["h"]))
    if dict(bond.core.options).get("switched"):
        end = min(end, numbers.get("r_in", 0.0))
    return end
