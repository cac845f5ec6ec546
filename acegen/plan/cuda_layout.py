"""How the kernels share a multiprocessor: threads of a block, shared memory, what stays in it."""

from __future__ import annotations

from dataclasses import dataclass

from acegen.plan.types import KernelPlan, Plan

STATIC_SHARED = 46 * 1024  # bytes of static shared memory a kernel may declare, less a little
LARGEST_SHARED = 227 * 1024  # bytes of a block on the largest cards (9.0, 10.0)
TILE = 32  # atoms of a tile in `tile_atoms`
REGISTERS = 65536  # of a multiprocessor
EDGE_REGISTERS = 128  # of a thread of pool and gradient, at most
CODE = 900  # straight-line multiply-adds and products of one kernel among several, about 3000 instructions
# With X in shared memory one kernel must do all. The first takes 512 threads of 128 registers, the second 384 of 168.
# Beyond the second (some 12000 instructions, 200 kB) code is fetched as often as X would be.
FUSED_CODE = ((4000, 512), (6000, 384))
SPLIT_THREADS = 256


@dataclass(frozen=True, slots=True)
class EdgeLayout:
    """Blocks of pool and gradient: one centre, `chunk` neighbours at a time."""

    chunk: int
    pool_threads: int
    gradient_threads: int
    radial_stride: int  # odd: rows of different neighbours begin in different banks
    harmonic_stride: int


@dataclass(frozen=True, slots=True)
class ProductLayout:
    """Blocks of the product stage: a worker is one thread for each of `lanes` atoms."""

    lanes: int  # atoms at a time: a tile is done in 32 / lanes parts
    threads: int
    shared: int  # bytes of dynamic shared memory for X, and for dE/dX where both fit; 0: both in global memory
    static: int  # bytes of shared memory besides

    @property
    def workers(self) -> int:
        """Of a block."""
        return self.threads // self.lanes


def edge_layout(n_primitives: int, n_harmonics: int) -> EdgeLayout:
    """Blocks that fit: the gradient keeps values and slopes of both parts in shared memory, the pooling values."""
    radial, harmonic = n_primitives | 1, n_harmonics | 1
    row = 8 * (2 * radial + 2 * harmonic + 8)
    chunk = next((n for n in (32, 16, 8) if n * row <= STATIC_SHARED), 4)
    return EdgeLayout(chunk, edge_threads(chunk * row // 2), edge_threads(chunk * row), radial, harmonic)


def edge_threads(shared: int) -> int:
    """As few warps a block as keep some 16 of them on a multiprocessor: one alone never waits for others."""
    blocks = LARGEST_SHARED // shared
    return 32 if blocks >= 11 else 64 if blocks >= 7 else 128


def edge_blocks(threads: int) -> int:
    """Blocks of a multiprocessor that registers must suffice for."""
    return REGISTERS // (EDGE_REGISTERS * threads)


def product_layout(plan: Plan) -> ProductLayout:
    """X of as many atoms as fit in shared memory, if one kernel can do all: it is read ten times for each write."""
    code = product_code(plan)
    densities = 8 * sum({shape.n_densities for shape in plan.shapes})  # bytes of a thread, and of a lane once more
    fit = max(STATIC_SHARED // densities // TILE - 1, 1) * TILE  # threads
    for most, usual in FUSED_CODE:
        threads = min(usual, fit)
        static = densities * (threads + TILE)
        for lanes in (32, 16, 8):
            size = 8 * lanes * plan.max_components
            if code <= most and size + static <= LARGEST_SHARED:
                both = 2 * size if 2 * size + static <= LARGEST_SHARED else size
                return ProductLayout(lanes, threads, both, static)
    return ProductLayout(TILE, min(SPLIT_THREADS, fit), 0, 0)


def node_code(kernel: KernelPlan) -> int:
    """Straight-line code of one product."""
    return len(kernel.pairs) + sum(map(len, kernel.terms)) + 20


def adjoint_code(kernel: KernelPlan) -> int:
    """Straight-line code of the slopes of one factor."""
    return len(kernel.pairs) + sum(map(len, kernel.adjoint)) + 20


def product_code(plan: Plan) -> int:
    """Straight-line code of the whole product stage."""
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    names = {(step.level, step.kernel) for shape in plan.shapes for step in shape.steps}
    return sum(node_code(kernels[name]) + 2 * adjoint_code(kernels[name]) for _, name in names) + 1000
