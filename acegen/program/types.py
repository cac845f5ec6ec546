"""Stage 3 hand-over: the integer program of one centre species, from pooled sums to densities.

All values live in one array X of real components,

    X = [ pooled sums | mixed leaves A | pair nodes | triple nodes ]

pooled sums  P_bklm = sum_j g_k(r_ij) S_lm(r_ij)       j of species b
leaves       A_clm = sum_k coefficients[c,k] P_bklm    (the pooled sum itself where a channel is one primitive,
             or where R_nl = sum_k coefficients[c,k] g_k is formed on every edge: Combination)
nodes        products of two earlier rows through a small fixed kernel
densities    rho_p = sum_o linear[o] X_o + sum_e entry[e] <X_x(e), X_y(e)>

The components of one (l) row are ordered m = 0, +1, -1, +2, -2, ... so that the complex number
z_m = S_m + i S_-m of order m > 0 is stored as a contiguous pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def component(m: int) -> int:
    """Position of order m inside a row: 0, +1, -1, +2, -2, ..."""
    return 0 if m == 0 else 2 * abs(m) - (m > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Sparse map from weights to kernel coefficients: c_e = sum_f values[f] w_f, rows in CSR form."""

    indptr: np.ndarray  # int64 [n_rows + 1]
    indices: np.ndarray  # int64 [nnz], basis function index
    values: np.ndarray  # float64 [nnz]

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def apply(self, weights: np.ndarray) -> np.ndarray:
        """c [n_rows, n_densities] from weights [n_functions, n_densities]."""
        out = np.zeros((self.n_rows, weights.shape[1]))
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        np.add.at(out, rows, self.values[:, None] * weights[self.indices])
        return out

    @staticmethod
    def from_rows(rows: list[dict[int, float]]) -> Fold:
        """Build from one {function: value} per row; functions ascending, zeros dropped."""
        indptr, indices, values = [0], [], []
        for row in rows:
            for function in sorted(row):
                if row[function] != 0.0:
                    indices.append(function)
                    values.append(row[function])
            indptr.append(len(indices))
        return Fold(np.array(indptr, np.int64), np.array(indices, np.int64), np.array(values, float))


@dataclass(frozen=True, slots=True)
class PoolBlock:
    """Pooled sums of one neighbour species and l: rows k (primitives), 2l+1 components each.

    Degrees that pool the same primitives lie side by side: a row k holds all their components.
    """

    neighbour: int
    l: int
    primitives: tuple[int, ...]
    offset: int  # component offset in X of the first row
    stride: int  # components from one row to the next

    def row(self, primitive: int) -> int:
        """Component offset in X of a primitive's row."""
        return self.offset + self.stride * self.primitives.index(primitive)


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """R_nl formed on every edge, R_n = sum_k matrix[n,k] g_k, where that is cheaper than pooling all g_k.

    The R_n are numbered as primitives first, first + 1, ... after those of the bond.
    """

    neighbour: int
    first: int
    sources: tuple[int, ...]  # primitives k, consecutive
    matrix: np.ndarray  # [n_functions, n_sources]


@dataclass(frozen=True, slots=True, eq=False)
class MixBlock:
    """Leaves of one l mixed from pool blocks: A[n] (+)= sum_k matrix[n,k] P[k]."""

    l: int
    pool: int  # index of the pool block read
    offset: int  # component offset in X of the first leaf
    matrix: np.ndarray  # [n_leaves, n_primitives of the pool block]
    add: bool  # False: overwrite, True: add to what an earlier block wrote


@dataclass(frozen=True, slots=True, eq=False)
class StepGroup:
    """Products of one kernel and level: row (first factor, second factor, result), component offsets."""

    kernel: tuple[object, ...]  # ("multiply", n_x, n_y, conjugate_y) or ("couple", l1, l2, (L, ...))
    level: int  # 2: pairs, 3: triples
    rows: np.ndarray  # int64 [n, 3]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """The bilinear form: entry e is the inner product of `components[e]` components at x[e] and y[e]."""

    components: np.ndarray  # int64 [n_entries]
    x: np.ndarray  # int64 [n_entries], x <= y
    y: np.ndarray  # int64 [n_entries]
    fold: Fold


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Everything the kernel of one centre species computes between pooling and embedding."""

    form: str  # "coupled" or "pair"
    pools: tuple[PoolBlock, ...]
    combinations: tuple[Combination, ...]
    mixes: tuple[MixBlock, ...]
    n_pooled: int  # components
    n_leaves: int  # end of the leaf region: pooled + mixed
    n_components: int  # length of X
    leaf_offset: tuple[int, ...]  # [n_channels] component offset of each leaf, -1 when only used linearly
    steps: tuple[StepGroup, ...]
    linear: np.ndarray  # int64 [n_linear] component offsets
    linear_fold: Fold
    entries: Entries
    folded: tuple[tuple[int, int], ...]  # (component, density): sqrt(4 pi) X is all of order 1 (single precision)
    n_functions: int
    n_densities: int
