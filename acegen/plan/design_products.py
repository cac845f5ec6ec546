"""Stage 4, forward mode: dB_f/dA_v of one function after another, as operations on a small buffer.

The buffer of a function holds the adjoints of its slots, then those of the products it is made of.  Operations:
the entries of the bilinear form (their two sides swap as adjoints), then the products, the last first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from acegen.plan.design_shorter import Shorter
from acegen.plan.products import kernel_name
from acegen.potential import Centre
from acegen.program.types import Program, StepGroup


@dataclass
class Operations:
    """The operations of all functions of a centre, one function after another."""

    integers: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    first: list[int] = field(default_factory=list)  # per function: place in integers, place in numbers
    slots: list[int] = field(default_factory=lambda: [0])  # per function: first slot; one more at the end
    largest: int = 1  # buffer of a function

    def begin(self, n_slots: int) -> None:
        """The next function, of so many slots."""
        self.first += [len(self.integers), len(self.numbers)]
        self.slots.append(self.slots[-1] + n_slots)

    def constant(self, value: float) -> None:
        """A function with one slot that depends on nothing: a multiple of one amplitude, or of a function kept."""
        self.begin(1)
        self.integers += [1, 1, 1, 0, 0]
        self.numbers.append(value)


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


def _nodes_of(program: Program, kernels: list[str]) -> dict[int, Node]:
    """Component of X -> the product it belongs to; nodes come in the order of their levels."""
    out: dict[int, Node] = {}
    for group in program.steps:
        number, size = kernels.index(kernel_name(group.kernel)), _output_size(group)
        for x, y, at in group.rows.tolist():
            node = Node(number, x, y, at, size)
            for component in range(at, at + size):
                out[component] = node
    return out


def _entries_of(program: Program) -> dict[int, list[tuple[int, float]]]:
    """Function -> (entry of the bilinear form, factor)."""
    fold = program.entries.fold
    out: dict[int, list[tuple[int, float]]] = {f: [] for f in range(program.n_functions)}
    for e in range(fold.n_rows):
        for q in range(int(fold.indptr[e]), int(fold.indptr[e + 1])):
            out[int(fold.indices[q])].append((e, float(fold.values[q])))
    return out


class Products:
    """Turns the functions of one centre into operations."""

    def __init__(self, centre: Centre, program: Program, kernels: list[str], first_function: int) -> None:
        """first_function: where the values of the functions themselves are found, behind X."""
        self._centre = centre
        self._program = program
        self._nodes = _nodes_of(program, kernels)
        self._entries = _entries_of(program)
        self._first_function = first_function

    def add_shorter(self, found: Operations, entry: Shorter) -> None:
        """A shorter function times an amplitude: both are the other's slot."""
        found.begin(2)
        x, y = self._program.leaf_offset[entry.channel], self._first_function + entry.function
        found.integers += [2, 2, 0, 1, 0, 1, x, y, 0, 1]
        found.numbers.append(entry.factor)
        found.largest = max(found.largest, 2)

    def add_function(self, found: Operations, f: int) -> dict[int, int]:
        """Entries of one function, then the adjoints of its products, the last first; returns channel -> first slot,
        from the first of this function."""
        function, channels = self._centre.functions[f], self._centre.channels
        local: dict[int, int] = {}
        size = 0
        for c in sorted(set(function.channels), key=lambda c: (channels[c].neighbour, c)):
            local[c] = size
            size += 2 * channels[c].l + 1
        if len(function.channels) == 1:
            found.constant(float(np.sum(function.coefficients)))
            return local
        found.begin(size)
        self._add_products(found, self._entries[f], local, size)
        return local

    def _add_products(
        self, found: Operations, entries: list[tuple[int, float]], local: dict[int, int], size: int
    ) -> None:
        """Places are in the function's buffer."""
        place: dict[int, int] = {}  # component of X -> place in the buffer
        for c, start in local.items():
            for component in range(2 * self._centre.channels[c].l + 1):
                place[self._program.leaf_offset[c] + component] = start + component
        used: dict[int, Node] = {}
        n_slots = size

        def need(component: int) -> None:
            nonlocal size
            if component in place:
                return
            node = self._nodes[component]
            need(node.x)
            need(node.y)
            used[node.out] = node
            for q in range(node.size):
                place[node.out + q] = size + q
            size += node.size

        rows: list[int] = []
        for e, _ in entries:
            x, y = int(self._program.entries.x[e]), int(self._program.entries.y[e])
            need(x)
            need(y)
            rows += [int(self._program.entries.components[e]), x, y, place[x], place[y]]
        steps: list[int] = []
        for node in reversed(used.values()):  # products were entered after their factors
            steps += [node.kernel, node.x, node.y, place[node.out], place[node.x], place[node.y]]
        found.integers += [n_slots, size, 0, len(entries), len(used), *rows, *steps]
        found.numbers += [factor for _, factor in entries]
        found.largest = max(found.largest, size)
