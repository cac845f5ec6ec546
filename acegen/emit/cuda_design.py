"""Stage 5 for CUDA, forward mode: DesignPlan -> <name>_design.cu and the record of its launches."""

from __future__ import annotations

from acegen.emit.cuda import EDGES, cuda_environment
from acegen.emit.design import harmonics_gradients
from acegen.emit.render import SourceFile, tidy
from acegen.emit.wrap import wrap
from acegen.plan.cuda import COMBINED_ROWS, MIX_ROWS
from acegen.plan.cuda_design import (
    GRADIENT_THREADS,
    POOL_THREADS,
    ROW_THREADS,
    SLOT_THREADS,
    CudaDesign,
    make_cuda_design,
)
from acegen.plan.design_types import DesignPlan
from acegen.record import Buffer, Launch, Record


def render_cuda_design(design: DesignPlan) -> tuple[SourceFile, Record]:
    """The CUDA source of the forward mode and how to launch it."""
    made = make_cuda_design(design)
    record = _record(made)
    jinja = cuda_environment()
    jinja.filters["harmonics_gradients"] = harmonics_gradients
    values = {
        "plan": design.plan,
        "cuda": made.cuda,
        "design": made,
        "record": record,
        "forward": True,
        "sum_threads": ROW_THREADS,
        "mix_rows": MIX_ROWS,
        "combined_rows": COMBINED_ROWS,
    }
    text = jinja.get_template("cuda/design.cu.j2").render(values)
    return SourceFile(record.source, wrap(tidy(text))), record


def _record(made: CudaDesign) -> Record:
    design, cuda = made.plan, made.cuda
    plan, lanes = design.plan, cuda.product_layout.lanes
    own = () if made.shared else ("derivative",)
    part = ("first_function", "n_columns")
    launches = (
        Launch("pool", "n_atoms", 1, POOL_THREADS, 0, (*EDGES, "pooled"), "basis"),
        Launch(
            "slots", "n_tiles", 1, SLOT_THREADS, 0,
            ("tile_atoms", "species", "pooled", "X", "adjoint", "basis", "J"), "basis",
        ),
        Launch(
            "gradients", "n_atoms", 1, GRADIENT_THREADS, 0,
            (*part, *EDGES, "J", *own, "basis_gradients"), "gradients",
        ),
        Launch(
            "force_rows", "n_atoms", 1, ROW_THREADS, 0,
            (*part, *EDGES, "reverse", "basis_gradients", "forces", "atom_virial"), "forces",
        ),
        Launch(
            "system_rows", "n_system_columns", 1, ROW_THREADS, 0,
            (*part, "species", "first_atom", "basis", "atom_virial", "energy", "virial"), "systems",
        ),
    )  # fmt: skip
    buffers = [
        Buffer("pooled", "double", ("n_atoms", cuda.n_pooled), "basis"),
        Buffer("X", "double", ("n_tiles", plan.max_components, lanes), "basis"),
        Buffer("basis", "double", ("n_atoms", plan.n_basis), "basis"),
        Buffer("adjoint", "double", ("n_tiles", cuda.product_layout.workers, design.n_buffer, lanes), "gradients"),
        Buffer("J", "double", ("n_atoms", max(design.n_slots, 1)), "gradients"),
        Buffer("basis_gradients", "double", ("n_edges", 3, "n_columns"), "gradients"),
        Buffer("atom_virial", "double", ("n_atoms", 6, "n_columns"), "virial"),
    ]
    if not made.shared:
        shape = ("n_atoms", 3 * max(design.n_values, 1) * cuda.edge_layout.chunk)
        buffers.append(Buffer("derivative", "double", shape, "gradients"))
    return Record(
        source=f"{plan.name}_design.cu",
        real="double",
        n_species=len(plan.species),
        n_basis=plan.n_basis,
        n_coefficients=0,
        buffers=tuple(buffers),
        launches=launches,
    )
