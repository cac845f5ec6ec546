"""Product stage of a CUDA source: its steps dealt to kernels that stay small enough for the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from acegen.plan.cuda import CudaPlan
from acegen.plan.cuda_products import ShapeTables

_LARGEST = 900  # multiply-adds and products of one kernel, about 3000 instructions
_TYPES = {
    "first_tile": "int64 ",
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
    "Y": "real *",
    "energies": "double *",
    "repulsion_factor": "double *",
    "nearest_slope": "double *",
    "grad_pooled": "real *",
    "basis": "double *",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One call; `barrier`: it reads what other warps have written before."""

    call: str
    cost: int
    arguments: tuple[str, ...] = ()
    barrier: bool = True
    gradients: bool = False  # needed for gradients only


@dataclass(frozen=True, slots=True)
class ProductKernel:
    """One kernel of a shape."""

    name: str
    shape: int
    steps: tuple[_Step, ...]
    edge_results: str
    needed_for: str

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters in order."""
        wanted = {"first_tile", "tile_atoms", "species", "X", "Y", *(a for s in self.steps for a in s.arguments)}
        return tuple(name for name in _TYPES if name in wanted)

    @property
    def parameters(self) -> tuple[str, ...]:
        """C declarations."""
        return tuple(_TYPES[name] + name for name in self.names)

    def arguments(self, centre: int) -> tuple[str, ...]:
        """Of the launch for one centre species."""
        return tuple(f"first_tile_{centre}" if name == "first_tile" else name for name in self.names)

    @property
    def body(self) -> tuple[str, ...]:
        """Statements, a barrier wherever rows of other warps are read."""
        lines: list[str] = []
        if any("&edges" in step.call for step in self.steps):
            lines.append(self.edge_results)
        for q, step in enumerate(self.steps):
            if q and step.gradients and not self.steps[q - 1].gradients:
                lines += ["if (!grad_pooled)", "    return;"]
            if q and step.barrier:
                lines.append("__syncthreads();")
            lines.append(step.call)
        return tuple(lines)


def product_kernels(cuda: CudaPlan) -> tuple[ProductKernel, ...]:
    """Kernels of all shapes in launch order."""
    out: list[ProductKernel] = []
    plan = cuda.plan
    results = _edge_results(cuda)
    for tables in cuda.shapes:
        groups: list[list[_Step]] = []
        for step in _steps(cuda, tables):
            cost = sum(s.cost for s in groups[-1]) if groups else _LARGEST
            if cost + step.cost > _LARGEST:
                groups.append([])
            groups[-1].append(step)
        shape = tables.shape.index
        for q, group in enumerate(groups):
            gradients = all(step.gradients for step in group)
            # a kernel that stops without gradients must be told so
            if not gradients and any(step.gradients for step in group):
                group[0] = _Step(group[0].call, group[0].cost, (*group[0].arguments, "grad_pooled"))
            name = f"product_{shape}" + (f"_{q}" if len(groups) > 1 else "")
            out.append(ProductKernel(name, shape, tuple(group), results, "gradients" if gradients else "energy"))
        if plan.n_basis:
            step = _Step(f"basis_{shape}(&in, basis);", 0, ("basis",))
            out.append(ProductKernel(f"basis_of_{shape}", shape, (step,), results, "basis"))
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


def _steps(cuda: CudaPlan, tables: ShapeTables) -> Iterator[_Step]:
    shape = tables.shape.index
    kernels = {kernel.name: kernel for kernel in cuda.plan.kernels}
    yield _Step("leaves(&in, pooled);", 60, ("pooled",))
    level = -1
    for q, node in enumerate(tables.nodes):
        k = kernels[node.kernel]
        cost = len(k.pairs) + sum(map(len, k.terms)) + 20
        yield _Step(f"nodes_{shape}_{q}(&in);", cost, (), node.level != level)
        level = node.level
    cost = 100 * len(tables.classes) + 100
    present = tuple(name for name in _edge_arguments(cuda).values() if name)
    call = f"densities_{shape}(&in, coefficients ? own_coefficients : COEFFICIENTS, &edges);"
    yield _Step(call, cost, ("coefficients", "own_coefficients", *present))
    level = -1
    for q, adjoint in enumerate(tables.adjoint):
        k = kernels[adjoint.kernel]
        cost = len(k.pairs) + sum(map(len, k.adjoint)) + 20
        yield _Step(f"adjoint_{shape}_{q}(&in);", cost, (), adjoint.level != level, True)
        level = adjoint.level
    yield _Step("leaves_adjoint(&in, grad_pooled);", 60, ("grad_pooled",), True, True)
