"""Stage 4, forward mode: dB_f/dA_v of one function after another, as operations on a small buffer.

The buffer of a function holds the adjoints of its slots, then those of the products it is made of.  Operations:
the entries of the bilinear form (their two sides swap as adjoints), then the products, the last first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acegen.plan.products import kernel_name
from acegen.potential import Centre
from acegen.program.types import Program, StepGroup


@dataclass
class Operations:
    """The operations of all functions of a centre, one function after another."""

    integers: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    first: list[int] = field(default_factory=list)  # per function: place in integers, place in numbers
    slots: list[int] = field(default_factory=lambda: [0])  # per function: first slot
    largest: int = 1


@dataclass(frozen=True, slots=True)
class Node:
    """One product: kernel, offsets in X of its factors and its result, components of the result."""

    kernel: int
    x: int
    y: int
    out: int
    size: int


def _output_size(group: StepGroup) -> int:
    kind, *rest = group.kernel
    if kind == "couple":
        degrees = rest[2]
        assert isinstance(degrees, tuple)
        return int(sum(2 * degree + 1 for degree in degrees))
    return 1 if rest[:2] == [1, 1] else 2


def nodes_of(program: Program, kernels: list[str]) -> dict[int, Node]:
    """Component of X -> the product it belongs to; nodes come in the order of their levels."""
    out: dict[int, Node] = {}
    for group in program.steps:
        number, size = kernels.index(kernel_name(group.kernel)), _output_size(group)
        for x, y, at in group.rows.tolist():
            node = Node(number, x, y, at, size)
            for component in range(at, at + size):
                out[component] = node
    return out


def entries_of(program: Program) -> dict[int, list[tuple[int, float]]]:
    """Function -> (entry of the bilinear form, factor)."""
    fold = program.entries.fold
    out: dict[int, list[tuple[int, float]]] = {f: [] for f in range(program.n_functions)}
    for e in range(fold.n_rows):
        for q in range(int(fold.indptr[e]), int(fold.indptr[e + 1])):
            out[int(fold.indices[q])].append((e, float(fold.values[q])))
    return out


def add_function(
    found: Operations,
    centre: Centre,
    program: Program,
    nodes: dict[int, Node],
    entries: list[tuple[int, float]],
    local: dict[int, int],
    size: int,
) -> None:
    """Entries of one function, then the adjoints of its products, the last first; places in the function's buffer."""
    place: dict[int, int] = {}  # component of X -> place in the buffer
    for c, start in local.items():
        for component in range(2 * centre.channels[c].l + 1):
            place[program.leaf_offset[c] + component] = start + component
    used: dict[int, Node] = {}
    n_slots = size

    def need(component: int) -> None:
        nonlocal size
        if component in place:
            return
        node = nodes[component]
        need(node.x)
        need(node.y)
        used[node.out] = node
        for q in range(node.size):
            place[node.out + q] = size + q
        size += node.size

    rows: list[int] = []
    for e, _ in entries:
        x, y = int(program.entries.x[e]), int(program.entries.y[e])
        need(x)
        need(y)
        rows += [int(program.entries.components[e]), x, y, place[x], place[y]]
    steps: list[int] = []
    for node in reversed(used.values()):  # products were entered after their factors
        steps += [node.kernel, node.x, node.y, place[node.out], place[node.x], place[node.y]]
    found.integers += [n_slots, size, 0, len(entries), len(used), *rows, *steps]
    found.numbers += [factor for _, factor in entries]
    found.largest = max(found.largest, size)
