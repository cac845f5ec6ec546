"""Product stage of a CUDA source: its steps dealt to kernels that stay small enough for the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from acegen.plan.cuda import CudaPlan
from acegen.plan.cuda_layout import CODE, adjoint_code, node_code

_TYPES = {
    "tile_atoms": "const int32 *",
    "species": "const int32 *",
    "pooled": "const real *",
    "coefficients": "const double *",
    "own_coefficients": "const real *",
    "repulsion": "const double *",
    "closest": "const double *",
    "window": "const double *",
    "nearest": "const int64 *",
    "X": "real *",
    "G": "real *",
    "energies": "double *",
    "repulsion_factor": "double *",
    "nearest_slope": "double *",
    "grad_pooled": "real *",
    "basis": "double *",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One call; `barrier`: it reads what other workers have written before."""

    call: str
    cost: int
    arguments: tuple[str, ...] = ()
    barrier: bool = True
    gradients: bool = False  # needed for gradients only


@dataclass(frozen=True, slots=True)
class ProductKernel:
    """One kernel of the product stage."""

    name: str
    steps: tuple[_Step, ...]
    edge_results: str
    needed_for: str

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters in order."""
        wanted = {"tile_atoms", "species", "X", "G", *(a for s in self.steps for a in s.arguments)}
        return tuple(name for name in _TYPES if name in wanted)

    @property
    def parameters(self) -> tuple[str, ...]:
        """C declarations."""
        return tuple(_TYPES[name] + name for name in self.names)

    def body(self, leave: str) -> tuple[str, ...]:
        """Statements, a barrier wherever rows of other workers are read; `leave` ends a tile without gradients."""
        lines: list[str] = []
        if any("&edges" in step.call for step in self.steps):
            lines.append(self.edge_results)
        for q, step in enumerate(self.steps):
            if q and step.gradients and not self.steps[q - 1].gradients:
                lines += ["if (!grad_pooled)", f"    {leave};"]
            if q and step.barrier:
                lines.append("__syncthreads();")
            lines.append(step.call)
        return tuple(lines)


def product_kernels(cuda: CudaPlan) -> tuple[ProductKernel, ...]:
    """Kernels in launch order: one where X stays in shared memory, else as many as keep each small."""
    groups: list[list[_Step]] = [[]]
    for step in _steps(cuda):
        if groups[-1] and not cuda.product_layout.shared and sum(s.cost for s in groups[-1]) + step.cost > CODE:
            groups.append([])
        groups[-1].append(step)
    out = []
    for q, group in enumerate(groups):
        gradients = all(step.gradients for step in group)
        # a kernel that stops without gradients must be told so
        if not gradients and any(step.gradients for step in group):
            group[0] = replace(group[0], arguments=(*group[0].arguments, "grad_pooled"))
        name = f"product_{q}" if len(groups) > 1 else "product"
        out.append(ProductKernel(name, tuple(group), _edge_results(cuda), "gradients" if gradients else "energy"))
    return tuple(out)


def _edge_arguments(cuda: CudaPlan) -> dict[str, str]:
    """Members of struct edge_results and the arguments they come from."""
    core, zbl = bool(cuda.plan.cores), cuda.plan.switching == "zbl"
    present = {
        "repulsion": core, "closest": zbl, "window": zbl, "nearest": zbl,
        "energies": True, "repulsion_factor": core, "nearest_slope": zbl,
    }  # fmt: skip
    return {name: name if here else "" for name, here in present.items()}


def _edge_results(cuda: CudaPlan) -> str:
    members = ", ".join(name or "0" for name in _edge_arguments(cuda).values())
    return f"const struct edge_results edges = {{{members}}};"


def _steps(cuda: CudaPlan) -> Iterator[_Step]:
    tables, plan = cuda.products, cuda.plan
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    yield _Step("leaves(&in, pooled);", 60, ("pooled",))
    level = -1
    for q, node in enumerate(tables.node_steps):
        yield _Step(f"nodes_{q}(&in);", node_code(kernels[node.kernel]), (), node.level != level)
        level = node.level
    if plan.n_basis:
        yield _Step("basis_functions(&in, basis);", 60, ("basis",))
    present = tuple(name for name in _edge_arguments(cuda).values() if name)
    arguments = ("coefficients", "own_coefficients", *present, "grad_pooled")
    call = "densities(&in, coefficients ? own_coefficients : COEFFICIENTS, &edges, grad_pooled != 0);"
    yield _Step(call, 130 * len(tables.classes) + 200, arguments, not plan.n_basis)  # the basis reads X too
    level = -1
    for q, step in enumerate(tables.adjoint_steps):
        yield _Step(f"adjoint_{q}(&in);", adjoint_code(kernels[step.kernel]), (), step.level != level, True)
        level = step.level
    # begins with a barrier of its own
    yield _Step("leaves_adjoint(&in, grad_pooled);", 60, ("grad_pooled",), False, True)
