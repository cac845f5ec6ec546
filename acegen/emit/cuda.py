"""Stage 5 for CUDA: Plan -> <name>.cu and the record of its launches."""

from __future__ import annotations

import re
from functools import lru_cache

import jinja2

from acegen.emit.cuda_launches import ProductKernel, product_kernels
from acegen.emit.environment import environment
from acegen.emit.printer import number
from acegen.emit.radial import head_statements, radial_statements, start_statements
from acegen.emit.render import SourceFile, tidy
from acegen.emit.wrap import wrap
from acegen.maths.switching import switching_section
from acegen.plan.cuda import COMBINED_ROWS, GROUP, MIX_ROWS, CudaPlan, make_cuda_plan
from acegen.plan.cuda_layout import edge_blocks
from acegen.plan.types import KernelPlan, Plan, TablePlan
from acegen.record import Buffer, Launch, Record

SUM_THREADS = 512
EDGES = ("species", "first_edge", "edge_to", "edge_shift", "shifts", "positions", "edge_vectors")


def render_cuda(plan: Plan) -> tuple[SourceFile, Record]:
    """The CUDA source of a plan and how to launch it."""
    cuda = make_cuda_plan(plan)
    plan = cuda.plan
    kernels = product_kernels(cuda)
    record = _record(cuda, kernels)
    values = {
        "plan": plan,
        "cuda": cuda,
        "record": record,
        "kernels": kernels,
        "switching": switching_section(),
        "forward": False,
        "sum_threads": SUM_THREADS,
        "scaled": plan.switching != "none" or not all(c.unit for c in plan.centres),
        "mix_rows": MIX_ROWS,
        "group": GROUP,
        "combined_rows": COMBINED_ROWS,
    }
    text = cuda_environment().get_template("cuda/module.cu.j2").render(values)
    return SourceFile(record.source, wrap(tidy(text))), record


@lru_cache
def cuda_environment() -> jinja2.Environment:
    """The environment of all templates with the filters of those for CUDA."""
    out = environment().overlay()
    out.filters = {
        **environment().filters,
        "to_device": _to_device,
        "of_one_slot": _of_one_slot,
        "scalar": _scalar,
        "slope_of": _slope_of,
        "centre_rows": _centre_rows,
        "waves": _waves,
        "tables_of": _tables_of,
        "calls": _calls,
        "edge_blocks": edge_blocks,
        "has_empty": lambda cuda: any(bond.edge == len(cuda.plan.edges) for bond in cuda.bonds),
    }
    return out


def _calls(plan: Plan, name: str) -> bool:
    """Whether a printed formula calls the function itself; here vec_pow needs no other."""
    functions = (radial_statements, start_statements, head_statements)
    lines = [line for f in (*plan.radials, *plan.cores) for body in functions for line in body(f)]
    return any(f"{name}(" in line for line in lines)


def _scalar(text: str) -> str:
    return text.replace("(vec){0}", "REAL(0.0)")


def _to_device(text: str) -> str:
    """C functions as device functions."""
    return re.sub(r"^(static inline|INLINE) ", "DEVICE ", _scalar(text), flags=re.MULTILINE)


def _of_one_slot(line: str) -> str:
    """Y[4 * block + 5 * slot + 1] -> Y[5]: the harmonics of one neighbour."""
    line = re.sub(r"Y\[(\d+) \* block \+ \d+ \* slot \+ (\d+)\]", lambda m: f"Y[{int(m[1]) + int(m[2])}]", line)
    return re.sub(r"Y\[slot \+ (\d+)\]", r"Y[\1]", line)


def _slope_of(kernel: KernelPlan, i: int, j: int) -> str:
    """Slope of the product x_i y_j: sum of +-c g_out."""
    jinja = environment()
    terms = kernel.adjoint[kernel.pairs.index((i, j))]
    text = re.sub(r"g\[(\d+)\]", r"g\1", jinja.filters["slopes"](terms, kernel.constants))
    return f"({text})" if " + " in text or " - " in text or text.startswith("-") else text


def _centre_rows(cuda: CudaPlan) -> list[str]:
    """Initialisers of the centre table."""
    rows = []
    wave = 0
    for c in cuda.centres:
        p = c.centre
        middle = wave + len(c.mix_waves)
        end = middle + len(c.unmix_waves)
        embeddings = [str(index) for index, _ in p.embeddings]
        rows.append(
            f"{p.shape}, {p.n_pooled}, {p.first_coefficient}, {c.first_mixing}, {wave}, {middle}, {middle}, {end}, "
            f"{number(p.e0)}, {number(p.core_cutoff)}, {number(p.core_width)}, "
            f"{{{', '.join(number(x) for x in p.scales)}}}, {{{', '.join(embeddings)}}}, "
            f"{{{', '.join(str(n) for n in c.first_constant)}}}"
        )
        wave = end
    return rows


def _waves(cuda: CudaPlan) -> str:
    return ", ".join(f"{a}, {b}" for c in cuda.centres for a, b in (*c.mix_waves, *c.unmix_waves))


def _tables_of(cuda: CudaPlan) -> list[TablePlan]:
    known = {table.name: table for table in cuda.plan.tables}
    return [known[name] for name in cuda.table_names]


def _record(cuda: CudaPlan, kernels: tuple[ProductKernel, ...]) -> Record:
    plan = cuda.plan
    zbl = plan.switching == "zbl"
    core = ("repulsion",) if plan.cores else ()
    nearest = ("closest", "window", "nearest") if zbl else ()
    back = (("repulsion_factor",) if plan.cores else ()) + (("nearest", "nearest_slope") if zbl else ())
    edges, layout = cuda.edge_layout, cuda.product_layout
    launches = [
        Launch("take_coefficients", "n_atoms", 2**31, 1024, 0, ("coefficients", "own_coefficients")),
        Launch("pool", "n_atoms", 1, edges.pool_threads, 0, (*EDGES, "pooled", *core, *nearest)),
        *(Launch(k.name, "n_tiles", 1, layout.threads, layout.shared, k.names, k.needed_for) for k in kernels),
        Launch(
            "gradient", "n_atoms", 1, edges.gradient_threads, 0,
            (*EDGES, "grad_pooled", *back, "edge_gradients"), "gradients",
        ),
        Launch(
            "forces", "n_atoms", 128, 128, 0,
            ("n_atoms", *EDGES, "reverse", "edge_gradients", "forces", "atom_virial", "virials"), "gradients",
        ),
        Launch("sums", "n_systems", 1, SUM_THREADS, 0, ("first_atom", "energies", "atom_virial", "energy", "virial")),
    ]  # fmt: skip
    return Record(
        source=f"{plan.name}.cu",
        real=plan.real,
        n_species=len(plan.species),
        n_basis=plan.n_basis,
        n_coefficients=len(plan.coefficients),
        buffers=_buffers(cuda),
        launches=tuple(launches),
    )


def _buffers(cuda: CudaPlan) -> tuple[Buffer, ...]:
    plan = cuda.plan
    found = [
        Buffer("own_coefficients", "real", (max(len(plan.coefficients), 1),)),
        Buffer("pooled", "real", ("n_atoms", cuda.n_pooled)),
        Buffer("X", "real", ("n_tiles", plan.max_components, cuda.product_layout.lanes)),
        Buffer("G", "real", ("n_tiles", plan.max_components, cuda.product_layout.lanes)),
        Buffer("energies", "double", ("n_atoms",)),
    ]
    if plan.cores:
        found += [
            Buffer("repulsion", "double", ("n_atoms",)),
            Buffer("repulsion_factor", "double", ("n_atoms",), "gradients"),
        ]
    if plan.switching == "zbl":
        found += [
            Buffer("closest", "double", ("n_atoms",)),
            Buffer("window", "double", ("n_atoms",)),
            Buffer("nearest", "int64_t", ("n_atoms",)),
            Buffer("nearest_slope", "double", ("n_atoms",), "gradients"),
        ]
    found += [
        Buffer("grad_pooled", "real", ("n_atoms", cuda.n_pooled), "gradients"),
        Buffer("edge_gradients", "double", ("n_edges", 3), "gradients"),
        Buffer("atom_virial", "double", ("n_atoms", 6), "gradients"),
    ]
    return tuple(found)
