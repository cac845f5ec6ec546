"""Counted work of every stage on a card against ceilings: which one binds, and the least time it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.bench.census import Census, take_census
from acegen.bench.cuda_sizes import SKIN
from acegen.bench.structures import RATTLE, Crystal, build_structure, choose_crystal
from acegen.runtime.graph import GraphBatch

if TYPE_CHECKING:
    from acegen.plan.cuda_costs import Cost

SHARED_BYTES = 128  # that shared memory and L1 of a multiprocessor move in a cycle
_ITEM = {"float64": 8, "float32": 4}
_COUNTED = 2048  # atoms on which neighbours are counted


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Rates of a card that cannot be exceeded."""

    float64: float  # GFLOP/s, two for each multiply-add
    float32: float
    bandwidth: float  # GB/s of the memory
    shared: float  # GB/s of shared memory and L1, all multiprocessors together


@dataclass(frozen=True, slots=True)
class Floor:
    """Least microseconds per atom of one stage, by ceiling."""

    stage: str
    arithmetic: float
    shared: float
    memory: float

    @property
    def bound(self) -> str:
        """The ceiling that binds."""
        return max(("arithmetic", "shared", "memory"), key=lambda name: float(getattr(self, name)))

    @property
    def least(self) -> float:
        """Microseconds per atom."""
        return max(self.arithmetic, self.shared, self.memory)


def shared_bandwidth(n_multiprocessors: int, megahertz: float) -> float:
    """GB/s of shared memory and L1 of a card."""
    return 1e-3 * SHARED_BYTES * n_multiprocessors * megahertz


def floor_of(cost: Cost, ceilings: Ceilings, precision: str) -> Floor:
    """Times of one stage at the ceilings, which can all be reached at once."""
    shared = 1e-3 * cost.shared / ceilings.shared
    arithmetic = 2e-3 * cost.arithmetic / float(getattr(ceilings, precision))
    return Floor(cost.stage, arithmetic, shared, 1e-3 * (cost.read + cost.written) / ceilings.bandwidth)


def stage_of(kernel: str) -> str:
    """Stage of a kernel: its name, all of the product stage's begin with "product"."""
    return "product" if kernel.startswith("product") else kernel


def counted(
    source: Path,
    precision: str,
    form: str = "auto",
    products: str = "auto",
    lattice: str | None = None,
    lattice_constant: float | None = None,
    rattle: float = RATTLE,
) -> tuple[tuple[Cost, ...], Census, Crystal, dict[str, Any]]:
    """Work of every stage per atom of the benchmark crystal: costs, neighbours, crystal, what the potential is.

    Args:
        source: an input, not a bundle: work is counted in the plan.
        precision, form, products: of the kernel.
        lattice, lattice_constant, rattle: see `choose_crystal` and `build_structure`.
    """
    import numpy as np

    from acegen.compiler import compile_plan  # the compiler's tower: only where work is counted
    from acegen.plan.cuda import make_cuda_plan
    from acegen.plan.cuda_costs import costs

    read, plan = compile_plan(source, precision, form, products)
    potential = read.potential
    cutoffs = np.array([[bond.cutoff for bond in row] for row in potential.bonds])
    crystal = choose_crystal(plan.species, lattice, lattice_constant)
    atoms = build_structure(plan.species, crystal, _COUNTED, rattle=rattle)
    graph = GraphBatch.from_atoms(atoms, float(cutoffs.max()), species=plan.species, skin=SKIN)
    census = take_census(graph, cutoffs, 32)
    found = costs(make_cuda_plan(plan), census.share, census.listed, census.inside, _ITEM[precision])
    about = {"name": source.stem, "species": list(plan.species), "cutoff": float(cutoffs.max())}
    return found, census, crystal, about


def reached(
    costs: Sequence[Cost], kernels: Mapping[str, float], ceilings: Ceilings, precision: str
) -> list[dict[str, Any]]:
    """Measured times of the kernels, by stage, beside what was counted; fractions of the ceilings.

    Args:
        costs: of the stages, per atom.
        kernels: microseconds per atom of every kernel.
        ceilings: measured on the same card.
        precision: of the arithmetic.
    """
    times: dict[str, float] = {}
    for kernel, us in kernels.items():
        times[stage_of(kernel)] = times.get(stage_of(kernel), 0.0) + us
    lines = []
    for cost in costs:
        us = times.get(cost.stage, 0.0)
        if us <= 0.0:
            continue
        floor = floor_of(cost, ceilings, precision)
        lines.append(
            {
                "kernel": cost.stage,
                "operations": round(cost.arithmetic),
                "shared_bytes": round(cost.shared),
                "bytes": round(cost.read + cost.written),
                "us_per_atom": us,
                "peak_fraction": round(floor.arithmetic / us, 4),
                "shared_fraction": round(floor.shared / us, 4),
                "bandwidth_fraction": round(floor.memory / us, 4),
                "bound": floor.bound,
            }
        )
    return lines
