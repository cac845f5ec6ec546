"""Stage 4 for CUDA, forward mode: the tables of a DesignPlan as a card reads them, and how blocks share memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from acegen.plan.cuda import CudaPlan, make_cuda_plan
from acegen.plan.cuda_layout import STATIC_SHARED, TILE, EdgeLayout, ProductLayout
from acegen.plan.cuda_products import product_tables
from acegen.plan.design_types import DesignPlan, DesignTable

POOL_THREADS = 64
GRADIENT_THREADS = 128
SLOT_THREADS = 256  # eight functions of 32 atoms at a time
ROW_THREADS = 128
_CHUNKS = (8, 4, 2, 1)  # neighbours at a time; of 8, the four functions of a warp fill a sector of memory
_CTYPES = {"real": "real", "uint16_t": "uint16", "uint32_t": "int32"}


@dataclass(frozen=True, slots=True, eq=False)
class CudaDesign:
    """Forward mode on a card: the CUDA plan of the bare basis and the tables beside it."""

    plan: DesignPlan
    cuda: CudaPlan
    tables: tuple[DesignTable, ...]
    centre_rows: tuple[str, ...]  # initialisers of struct centre
    shared: bool  # dA_v/dr of a chunk of neighbours is in shared memory
    row_threads: int = ROW_THREADS


def make_cuda_design(design: DesignPlan) -> CudaDesign:
    """Tables and layout of all kernels."""
    cuda = make_cuda_plan(design.plan)
    old, values = cuda.edge_layout, 3 * max(design.n_values, 1)
    row = 2 * old.radial_stride + 6 * cuda.n_harmonics + 8  # numbers of one neighbour besides
    most = STATIC_SHARED // 8
    chunk = next((n for n in _CHUNKS if n * (row + values) <= most), 0)
    shared = chunk > 0
    if not shared:
        chunk = next((n for n in _CHUNKS if n * row <= most), 1)
    workers = SLOT_THREADS // TILE
    cuda = replace(
        cuda,
        edge_layout=EdgeLayout(chunk, POOL_THREADS, GRADIENT_THREADS, old.radial_stride, old.harmonic_stride),
        product_layout=ProductLayout(TILE, SLOT_THREADS, 0, 0),
        products=product_tables(design.plan.shapes, workers),
    )
    used = {p.channels for centre in design.centres for p in centre.patterns}
    tables = tuple(
        DesignTable(
            table.name,
            "int32" if table.name in used else _CTYPES[table.ctype],
            _channels(table.values) if table.name in used else table.values,
        )
        for table in design.tables
    )
    return CudaDesign(design, cuda, tables, _centre_rows(design, cuda), shared)


def _channels(pairs: np.ndarray) -> np.ndarray:
    """(l, radial functions) of each channel -> l, first value, first radial function, radial functions."""
    degrees, counts = pairs.reshape(-1, 2).T
    values = np.cumsum(2 * degrees + 1) - (2 * degrees + 1)
    return np.stack([degrees, values, np.cumsum(counts) - counts, counts], axis=1).reshape(-1)


def _centre_rows(design: DesignPlan, cuda: CudaPlan) -> tuple[str, ...]:
    rows = []
    wave = 0
    for centre, tables in zip(design.centres, cuda.centres, strict=True):
        middle = wave + len(tables.mix_waves)
        plan = tables.centre
        rows.append(
            f"{plan.shape}, {plan.n_pooled}, {tables.first_mixing}, {wave}, {middle}, "
            f"{centre.n_functions}, {centre.n_many_body}, {centre.first_column}, {centre.first_pair_column}, "
            f"{centre.operations}, {centre.first}, {centre.slots}, {centre.numbers}"
        )
        wave = middle + len(tables.unmix_waves)
    return tuple(rows)
