"""Cuts a batch into runs of structures that fit in memory."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from acegen.runtime.cuda.graph import DeviceGraph

if TYPE_CHECKING:
    from acegen.runtime.cuda.program import Program
    from acegen.runtime.graph import GraphBatch

_SHARE = 0.7  # of the free memory that a part may be thought to need: estimates are not exact, memory is in pieces


def cuts(graph: DeviceGraph | GraphBatch, names: tuple[str, ...], program: Program, free: int) -> list[tuple[int, int]]:
    """Ranges of structures, at least two, of about equal cost; each thought to fit in `free` bytes where possible."""
    atoms = graph.system_ends if isinstance(graph, DeviceGraph) else graph.first_atom
    edges = graph.edge_ends if isinstance(graph, DeviceGraph) else graph.first_edge[graph.first_atom]
    nothing = program.memory_bytes(0, 0, 0, names)
    per_atom = (program.memory_bytes(0, 32_000, 0, names) - nothing) / 32_000
    per_edge = (program.memory_bytes(0, 0, 1000, names) - nothing) / 1000
    costs = per_atom * atoms + per_edge * edges  # of all structures before each
    n_parts = max(2, math.ceil(costs[-1] / max(_SHARE * free, 1.0)))
    n_parts = min(n_parts, graph.n_systems)
    wanted = costs[-1] * np.arange(1, n_parts) / n_parts
    inner = np.clip(np.searchsorted(costs, wanted), 1, graph.n_systems - 1)
    ends = [0, *sorted({int(k) for k in inner}), graph.n_systems]
    return list(itertools.pairwise(ends))
