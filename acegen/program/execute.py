"""Run a Program in numpy: what the product stage of the generated kernels must reproduce; for tests."""

from __future__ import annotations

import numpy as np

from acegen.maths.wigner import real_coupling
from acegen.program.types import Program, component


def row_order(l: int) -> list[int]:
    """Index m + l of each component of a row: m = 0, +1, -1, ..."""
    order = [0] * (2 * l + 1)
    for m in range(-l, l + 1):
        order[component(m)] = m + l
    return order


def coupling_rows(lx: int, ly: int, degree: int) -> np.ndarray:
    """Real coupling tensor with all three axes in component order."""
    return np.ascontiguousarray(real_coupling(lx, ly, degree)[np.ix_(row_order(lx), row_order(ly), row_order(degree))])


def nodes(program: Program, pooled: np.ndarray) -> np.ndarray:
    """X [n_components] from the pooled sums [n_pooled]."""
    x = np.zeros(program.n_components)
    x[: program.n_pooled] = pooled
    for mix in program.mixes:
        pool = program.pools[mix.pool]
        n = 2 * pool.l + 1
        values = mix.matrix @ np.array([x[pool.row(k) : pool.row(k) + n] for k in pool.primitives])
        part = slice(mix.offset, mix.offset + values.size)
        x[part] = values.ravel() + (x[part] if mix.add else 0.0)
    for group in program.steps:
        for a, b, out in group.rows:
            _product(x, group.kernel, int(a), int(b), int(out))
    return x


def _product(x: np.ndarray, kernel: tuple[object, ...], a: int, b: int, out: int) -> None:
    if kernel[0] == "multiply":
        _, n_a, n_b, conjugate = kernel
        za = x[a] + (1j * x[a + 1] if n_a == 2 else 0.0)
        zb = x[b] + (1j * x[b + 1] if n_b == 2 else 0.0)
        z = za * (np.conj(zb) if conjugate else zb)
        x[out] = z.real
        if n_b == 2:
            x[out + 1] = z.imag
        return
    _, lx, ly, degrees = kernel
    assert isinstance(lx, int) and isinstance(ly, int) and isinstance(degrees, tuple)
    u, v = x[a : a + 2 * lx + 1], x[b : b + 2 * ly + 1]
    for degree in degrees:
        n = 2 * degree + 1
        x[out : out + n] = np.einsum("abc,a,b->c", coupling_rows(lx, ly, degree), u, v)
        out += n


def basis(program: Program, x: np.ndarray) -> np.ndarray:
    """Basis rows B [n_functions] from X."""
    entries = program.entries
    values = np.array(
        [x[a : a + n] @ x[b : b + n] for n, a, b in zip(entries.components, entries.x, entries.y, strict=True)]
    )
    out = np.zeros(program.n_functions)
    for fold, row_values in ((program.entries.fold, values), (program.linear_fold, x[program.linear])):
        rows = np.repeat(np.arange(fold.n_rows), np.diff(fold.indptr))
        np.add.at(out, fold.indices, fold.values * row_values[rows])
    return out
