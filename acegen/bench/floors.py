"""Floors: the operations and bytes that each stage of a kernel cannot avoid, and the time they take at the roofs.

One operation is a multiply-add on one lane. All loads and stores pass L1; what a stage must fetch at least once from
further away counts there too. A stage takes at least the longest of its arithmetic and its traffic with each level,
and the stages follow one another. The algorithm, its register tiles and the zero fill of tiles are taken as planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acegen.bench.bandwidth import level_of
from acegen.bench.census import Census
from acegen.plan.counting import DIVISION, ROOT, section_operations
from acegen.plan.types import BondPlan, CentrePlan, EdgePlan, KernelPlan, Plan, RadialPlan, ShapePlan

STAGES = ("gather", "radial", "harmonics", "pooling", "mixing", "products", "adjoint", "contraction", "finish")
# What can be timed apart: runs without gradients and without neighbours inside tell these five.
GROUPS = {
    "list walk": ("gather",),
    "edges forward": ("radial", "harmonics", "pooling"),
    "products forward": ("mixing", "products"),
    "products backward": ("adjoint",),
    "edges backward": ("contraction", "finish"),
}
_PROJECTION = 26  # multiply-adds of one slot: unit vector, tangent plane, sums of forces and virial
_LIST = 8  # bytes of one listed edge: neighbour and row of its shift
_PLACE = 24  # bytes of the position of a neighbour, and of its force


@dataclass(slots=True)
class Cost:
    """Per atom: multiply-adds, and bytes by the level of memory they come from."""

    operations: float = 0.0
    bytes: dict[str, float] = field(default_factory=dict)

    def add(self, operations: float = 0.0, size: float = 0.0, level: str = "L1") -> None:
        """Add operations and bytes."""
        self.operations += operations
        if size:
            self.bytes[level] = self.bytes.get(level, 0.0) + size

    def microseconds(self, gflops: float, bandwidth: Mapping[str, float]) -> float:
        """Least time of one atom.

        Args:
            gflops: peak of one core, two for a multiply-add.
            bandwidth: GB/s by level.
        """
        traffic = (1e-3 * size / bandwidth[level] for level, size in self.bytes.items())
        return max(2e-3 * self.operations / gflops, *traffic, 0.0)


def stage_costs(plan: Plan, census: Census) -> dict[str, Cost]:
    """Costs of every stage, mean over the atoms of a structure; padding of slots is not counted, it can be avoided."""
    costs = {stage: Cost() for stage in STAGES}
    real = 4 if plan.real == "float" else 8
    mean_slots = max(1.0, census.neighbours)
    radial = 2 * plan.max_primitives + (1 if plan.cores else 0)
    edge_level = level_of(census.lanes * mean_slots * real * (5 + radial))
    for bond in plan.bonds:
        slots = float(census.share[bond.centre] * census.inside[bond.centre, bond.neighbour])
        if slots and bond.edge >= 0:
            _edge_costs(plan, plan.edges[bond.edge], bond, slots, real, census.lanes, edge_level, costs)
    for centre in plan.centres:
        share = float(census.share[centre.index])
        listed, inside = float(census.listed[centre.index]), float(census.inside[centre.index].sum())
        gather = costs["gather"]
        gather.add(share * 6 * listed, share * listed * _LIST, "memory")
        gather.add(0.0, share * listed * _PLACE, level_of(_PLACE * census.n_atoms))
        gather.add(share * inside * (3 + ROOT + DIVISION), share * inside * (5 * real + 4), edge_level)
        _centre_costs(plan, centre, share, real, census.lanes, costs)
    forces = level_of(_PLACE * census.n_atoms)
    costs["finish"].add(3 * census.neighbours, 2 * _PLACE * census.neighbours, forces)
    return costs


def _edge_costs(
    plan: Plan,
    edge: EdgePlan,
    bond: BondPlan,
    slots: float,
    real: int,
    lanes: int,
    edge_level: str,
    costs: Mapping[str, Cost],
) -> None:
    """Stages that run over the slots of one bond."""
    tables = {table.name: table for table in plan.tables}
    for name in bond.table_names:
        table = tables[name]
        row = (table.degree + 1) * table.size
        costs["radial"].add(
            slots * 2 * table.degree * table.size, slots * row * real, level_of(table.values.size * real)
        )
    for index, _, _, size in edge.radials:
        costs["radial"].add(slots * _radial_operations(plan.radials[index]), 2 * slots * size * real, edge_level)
    for one in edge.combinations:
        costs["radial"].add(slots * 2 * one.rows * one.columns, slots * 2 * (one.rows + one.columns) * real, "L1")
    for summed in edge.series:
        series = plan.series[summed.series]
        work = section_operations(series.seeds.gradient) + section_operations(series.section)
        costs["radial"].add(slots * work, slots * 10 * real, edge_level)  # four seeds and the slope, there and back
    if edge.l_max >= 0:
        values = (edge.l_max + 1) ** 2
        solid = max(0, edge.l_max - 1) if plan.angular == "solid" else 0
        costs["harmonics"].add(
            slots * (harmonics_operations(edge.l_max) + solid * edge.l_max / 2), slots * values * real
        )
        # backward: the gradient of each function once more, both sums of its coefficients
        costs["finish"].add(slots * (3 * values + solid**2), slots * 2 * values * real)
    for tile in edge.tiles:
        costs["pooling"].add(slots * tile.rows * tile.columns, slots * (tile.rows + tile.columns) * real)
    for run in edge.contractions:
        read = run.rows * (2 + 0.5 * run.columns) + (4 if run.add else 2) * run.columns
        costs["contraction"].add(slots * 2 * run.rows * run.columns, slots * read * real)
    pooled = sum(run.rows * run.columns for run in edge.contractions)
    level = level_of(pooled * real * lanes)
    if level != "L1":  # G comes from further away, once for two slots
        costs["contraction"].add(0.0, slots * 0.5 * pooled * real, level)
    costs["finish"].add(slots * _PROJECTION, slots * 5 * real, edge_level)


def harmonics_operations(l_max: int) -> int:
    """Multiply-adds of all Y_lm: two for each q_lm(z), four for each power of x + iy, one for each product."""
    return (l_max + 1) * (l_max + 2) + 4 * max(0, l_max - 1) + (l_max + 1) ** 2


def _radial_operations(plan: RadialPlan) -> int:
    return section_operations(plan.gradient) + section_operations(plan.head) + section_operations(plan.head_gradient)


def _centre_costs(
    plan: Plan, centre: CentrePlan, share: float, real: int, lanes: int, costs: Mapping[str, Cost]
) -> None:
    """Stages that run once per atom."""
    shape = plan.shapes[centre.shape]
    components, densities = shape.n_components, shape.n_densities
    for mix in centre.mixes:
        work = mix.n_leaves * mix.n_primitives * mix.components
        moved: float = mix.components * (mix.n_primitives + mix.n_leaves) * real
        moved += mix.n_leaves * mix.n_primitives * real / lanes
        costs["mixing"].add(share * work, share * moved)
        costs["adjoint"].add(share * work, share * moved)
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    for step in shape.steps:
        kernel = kernels[step.kernel]
        work, size = kernel_operations(kernel), kernel.n_x + kernel.n_y + len(kernel.terms)
        costs["products"].add(share * work * len(step.rows), share * size * len(step.rows) * real)
        again = share * (2 * size + kernel.n_x + kernel.n_y) * len(step.rows) * real
        costs["adjoint"].add(share * 2 * work * len(step.rows), again)
    _bilinear_costs(shape, share, real, lanes, costs["products"])
    if not centre.unit:  # G = sum over densities of slope times Y
        moved = share * components * (densities + 1) * real
        costs["adjoint"].add(share * densities * components, moved)
    # X and Y once, X and G once, where L1 cannot keep them from stage to stage; coefficients serve all lanes
    for stage, size in (("products", 1 + densities), ("adjoint", 2)):
        level = level_of(components * size * real * lanes)
        if level != "L1":
            costs[stage].add(0.0, share * components * size * real, level)
    coefficients = shape.n_coefficients * real
    if (level := level_of(coefficients)) != "L1":
        costs["products"].add(0.0, share * coefficients / lanes, level)


def kernel_operations(kernel: KernelPlan) -> int:
    """Multiply-adds of one product, forward."""
    return len(kernel.pairs) + (0 if kernel.constants == ((1.0, "1"),) else sum(len(row) for row in kernel.terms))


def _bilinear_costs(shape: ShapePlan, share: float, real: int, lanes: int, cost: Cost) -> None:
    """Y = C X and rho = X.Y: executed multiply-adds (zero fill of tiles included) and what they read."""
    densities, index = shape.n_densities, 2 if shape.n_components < 1 << 16 else 4
    for block in shape.rows:
        for row in block:
            n = len(row.terms)
            read = real * row.components * (n + 2 * densities) + n * densities * real / lanes
            cost.add(share * row.components * densities * (n + 1), share * read)
    ends = [*(tile.first_coefficient for tile in shape.tiles), shape.n_coefficients][1:]
    for tile, end in zip(shape.tiles, ends, strict=bool(shape.tiles)):
        columns = (end - tile.first_coefficient) / (tile.rows * densities)
        rows = tile.n_tiles * tile.rows
        work = tile.components * densities * (columns * tile.rows + rows)
        read = real * tile.components * (columns + 2 * rows * densities)
        streamed = (columns * (tile.rows * densities * real + index) + rows * index) / lanes
        cost.add(share * work, share * (read + streamed))
    cost.add(share * 2 * len(shape.linear) * densities, share * 2 * len(shape.linear) * real)
