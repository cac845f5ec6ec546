"""Floors and measured stages of one kernel side by side, as part of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acegen.bench.census import take_census
from acegen.bench.peak import Peak
from acegen.bench.stages import measure_stages
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

_ITEM = {"float64": 8, "float32": 4}


def measure_floors(
    source: Path,
    form: str,
    products: str,
    model: Model,
    graph: GraphBatch,
    peak: Peak,
    bandwidth: Mapping[str, float],
    repeats: int,
    between: Callable[[int], None],
) -> dict[str, Any]:
    """Operations, bytes and least time of every stage, and the measured times of the groups that can be told apart.

    Args:
        source: the input (not a bundle: floors are counted in the plan).
        form, products: as the kernel was made.
        model, graph: what is timed, on one thread.
        peak: of one core; better samples may still come in.
        bandwidth: GB/s by level.
        repeats: samples of each run.
        between: called after every round.
    """
    from acegen.bench.floors import GROUPS, stage_costs
    from acegen.compiler import compile_plan  # the compiler's tower: only where a floor is wanted

    _, plan = compile_plan(source, model.precision, form, products)
    census = take_census(graph, model.cutoffs, peak.vector_bytes // _ITEM[model.precision])
    costs = stage_costs(plan, census)
    measured = measure_stages(model, graph, repeats, between)
    rate = peak.best[model.precision]
    least = {stage: cost.microseconds(rate, bandwidth) for stage, cost in costs.items()}
    groups = {}
    for group, stages in GROUPS.items():
        floor = sum(least[stage] for stage in stages)
        groups[group] = {"stages": list(stages), **_against(floor, measured[group])}
    return {
        "precision": model.precision,
        "n_atoms": graph.n_atoms,
        "neighbours": round(census.neighbours, 2),
        "slots": round(census.padded, 2),
        "stages": {
            stage: {
                "operations": round(cost.operations),
                "bytes": {level: round(size) for level, size in sorted(cost.bytes.items())},
                "floor_us": round(least[stage], 4),
            }
            for stage, cost in costs.items()
        },
        "groups": groups,
        "whole": _against(sum(least.values()), measured["total"]),
    }


def _against(floor: float, measured: float) -> dict[str, float | None]:
    """Floor, measured time and the fraction reached; None where the difference of two runs drowned in noise."""
    fraction = round(floor / measured, 4) if measured > 0 else None
    return {"floor_us": round(floor, 4), "measured_us": round(measured, 4), "fraction": fraction}
