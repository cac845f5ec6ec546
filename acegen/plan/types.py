"""Stage 4 hand-over: everything the templates print, ready made. Here mathematics has met memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.maths.section import Section
from acegen.program.cost import UNROLL_LIMIT


@dataclass(frozen=True, slots=True)
class Target:
    """How the kernel is laid out; the mathematics does not depend on it."""

    precision: str = "float64"  # default arithmetic: "float64" or "float32"
    form: str = "auto"  # product basis: "auto", "coupled", "pair" or "flat"
    products: str = "auto"  # "auto", "unrolled" (straight-line code) or "tiled" (loops over tables)
    unroll_limit: int = UNROLL_LIMIT  # multiply-adds of the product stage above which "auto" takes tables
    accumulators: int = 12  # registers used as accumulators; 12 of 16 (AVX2, NEON); AVX-512 has room for 24
    series: bool = False  # radial functions that only enter linearly are summed on every edge, not pooled
    block_slots: int = 32  # neighbour slots pooled at a time: their g_k and the Y_lm of one l fit L1


@dataclass(frozen=True, slots=True, eq=False)
class TablePlan:
    """A piecewise polynomial table: static array, row-wise lookup."""

    name: str
    segments: tuple[tuple[float, float, int, int], ...]  # start, 1/width, bins, first bin
    degree: int
    size: int
    values: np.ndarray  # [n_bins, degree + 1, size]


@dataclass(frozen=True, slots=True, eq=False)
class RadialPlan:
    """One C function for the primitives of a family, shared by all bonds with the same formula."""

    index: int
    section: Section  # values
    gradient: Section  # values and derivatives
    size: int
    constants: tuple[str, ...]  # names, in the order of a row of the bond table
    head: Section | None = None
    head_gradient: Section | None = None
    head_constants: tuple[str, ...] = ()
    degree: int = 0  # of the table, where there is one


@dataclass(frozen=True, slots=True, eq=False)
class SeriesPlan:
    """Two C functions for a sum of radial functions, shared by all bonds with the same formula."""

    index: int
    seeds: RadialPlan  # x and envelope with their slopes, once for all coefficients
    section: Section  # the sum and its slope from these and its coefficients


@dataclass(frozen=True, slots=True)
class EdgeSeries:
    """One such sum of a bond; seeds and slope lie in the places of its primitives, which are not formed."""

    series: int
    radial: int  # the functions one by one, for B
    first_constant: int
    first: int  # primitive
    pooled: tuple[int, ...]  # where the pooled sum of each function lies
    coefficient: int  # the first one, of those of this bond

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.pooled)


@dataclass(frozen=True, slots=True)
class PoolTile:
    """Pool `rows` primitives from `first` with `columns` harmonics of degree l from `harmonic` into offset `out`."""

    l: int
    rows: int
    columns: int
    first: int
    harmonic: int
    out: int
    stride: int


@dataclass(frozen=True, slots=True)
class Contraction:
    """Backward counterpart: sum over `rows` primitives from `first` of `columns` components at `pooled`.

    Components may belong to several consecutive degrees; that of degree 0 needs no angular part.
    """

    rows: int
    columns: int
    first: int
    harmonic: int
    pooled: int
    stride: int
    add: bool  # False: the first run of primitives of these components


@dataclass(frozen=True, slots=True)
class CombinationPlan:
    """`rows` functions from `out` = matrix of `columns` primitives from `first`; its numbers start at `constant`."""

    rows: int
    columns: int
    first: int
    out: int
    constant: int


@dataclass(frozen=True, slots=True, eq=False)
class EdgePlan:
    """Forward and backward edge functions of one shape: families, l ranges, tiles; `series` are not among them."""

    index: int
    radials: tuple[tuple[int, int, int, int], ...]  # (radial, first constant, first primitive, size)
    tables: int  # number of families with a table
    combinations: tuple[CombinationPlan, ...]  # R_nl formed on every edge
    n_primitives: int
    l_max: int  # -1 without pooled sums
    degrees: tuple[int, ...]  # the l that are pooled
    tiles: tuple[PoolTile, ...]
    contractions: tuple[Contraction, ...]
    core: int  # core function or -1
    core_constant: int
    skipped: tuple[int, ...]  # degrees below l_max that are not pooled
    block: int  # neighbour slots whose harmonics are kept in L1 at a time
    series: tuple[EdgeSeries, ...] = ()
    whole: EdgePlan | None = None  # without series: all primitives formed and pooled; None: this one


@dataclass(frozen=True, slots=True, eq=False)
class BondPlan:
    """One ordered pair: which edge shape, its constants, its part of X."""

    centre: int
    neighbour: int
    edge: int  # -1: nothing radial
    name: str
    constants: tuple[tuple[str, float, str], ...]  # name, value, formula
    first_pooled: int
    table_names: tuple[str, ...]
    combined: np.ndarray  # coefficients of the combinations, in the order they are read
    cutoff: float
    switch_start: float  # rcut_in - dcut_in
    switch_width: float  # dcut_in
    core_end: float  # angstrom; the core repulsion is exactly zero from here on
    first_series: int  # coefficient of the centre where those of the series begin


@dataclass(frozen=True, slots=True, eq=False)
class MixPlan:
    """A[n] (+)= sum_k matrix[n,k] P[k], 2l+1 components each."""

    components: int
    n_leaves: int
    n_primitives: int
    pooled: int
    stride: int  # components from one pooled row to the next
    leaf: int
    first: int  # in the mixing table
    add: bool


@dataclass(frozen=True, slots=True, eq=False)
class StepPlan:
    """Products of one kernel: rows (first, second, result)."""

    kernel: str
    rows: tuple[tuple[int, int, int], ...]
    labels: tuple[str, ...]  # of the results, for the reader of unrolled code
    loop: bool  # loop over a table instead of one call a line
    name: str
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row of the unrolled bilinear form: components at `offset`, (coefficient, column) terms."""

    offset: int
    components: int
    terms: tuple[tuple[int, int], ...]
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class TileClass:
    """Tiles of `rows` rows with `components` components: an index stream and a run of coefficients."""

    rows: int
    components: int
    n_tiles: int
    first_index: int
    first_coefficient: int


@dataclass(frozen=True, slots=True, eq=False)
class ShapePlan:
    """Product stage of one or several centre species with the same structure."""

    index: int
    form: str
    loop: bool
    n_components: int
    n_densities: int
    steps: tuple[StepPlan, ...]
    rows: tuple[tuple[Row, ...], ...]  # unrolled: blocks of rows
    tiles: tuple[TileClass, ...]
    index_stream: np.ndarray
    linear: tuple[int, ...]
    linear_loop: bool
    folded: tuple[tuple[int, int], ...]  # (component, density) of tabulated order-1 sums
    n_coefficients: int
    basis: tuple[np.ndarray, np.ndarray, np.ndarray]  # int table, fold indices, fold values
    n_basis_entries: int
    n_functions: int
    unwritten: tuple[tuple[int, int], ...]  # (start, length) of components that no row or tile of Y = C X writes


@dataclass(frozen=True, slots=True, eq=False)
class CentrePlan:
    """One centre species: its shape, mixing, embedding and place in the coefficient array."""

    index: int
    symbol: str
    shape: int
    n_pooled: int
    mixes: tuple[MixPlan, ...]
    mixing: np.ndarray
    first_coefficient: int
    n_functions: int
    n_densities: int
    e0: float
    embeddings: tuple[tuple[int, tuple[float, ...]], ...]  # per density: function, its constants
    scales: tuple[float, ...]
    unit: bool  # F = rho: nothing to scale
    core_cutoff: float
    core_width: float


@dataclass(frozen=True, slots=True, eq=False)
class KernelPlan:
    """One product kernel: tensor rows as (i, j, M, coefficient index), and the distinct coefficients."""

    name: str
    title: str
    n_x: int
    n_y: int
    pairs: tuple[tuple[int, int], ...]  # products x_i y_j needed
    terms: tuple[tuple[tuple[int, int, int, int], ...], ...]  # per result: (i, j, constant, sign)
    adjoint: tuple[tuple[tuple[int, int, int], ...], ...]  # per pair: (result, constant, sign)
    constants: tuple[tuple[float, str], ...]  # value, exact text


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The whole kernel."""

    name: str
    title: str
    command: str
    source: str
    digest: str
    templates: str
    real: str
    species: tuple[str, ...]
    angular: str
    switching: str
    largest_cutoff: float
    target: Target
    radials: tuple[RadialPlan, ...]
    cores: tuple[RadialPlan, ...]
    series: tuple[SeriesPlan, ...]
    edges: tuple[EdgePlan, ...]
    bonds: tuple[BondPlan, ...]
    tables: tuple[TablePlan, ...]
    kernels: tuple[KernelPlan, ...]
    shapes: tuple[ShapePlan, ...]
    centres: tuple[CentrePlan, ...]
    embeddings: tuple[Section, ...]
    coefficients: np.ndarray  # built-in values
    fold_indptr: np.ndarray  # weights -> coefficients
    fold_indices: np.ndarray
    fold_values: np.ndarray
    fold_offset: np.ndarray  # [n_coefficients], added: minus what a table of order-1 parts holds already
    n_basis: int
    max_components: int
    max_densities: int
    max_primitives: int
    l_max: int
    operations: tuple[tuple[str, int], ...]
