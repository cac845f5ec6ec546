"""Stage 5: DesignPlan -> C text of the forward-mode kernel, <name>_design.h and <name>_design.c."""

from __future__ import annotations

from functools import lru_cache

from acegen.emit.environment import environment
from acegen.emit.printer import statements
from acegen.emit.prune import prune
from acegen.emit.render import SourceFile, documented, tidy
from acegen.emit.wrap import wrap
from acegen.manifest import DESIGN, DESIGN_WORKSPACE, GRADIENTS
from acegen.maths.harmonics import harmonics_section
from acegen.plan.design_types import DesignPlan
from acegen.program.types import component


@lru_cache
def harmonics_gradients(l_max: int, solid: bool = True) -> tuple[str, ...]:
    """Statements that hand Y_lm and its derivative along the unit vector to `keep`, before projection."""
    section = harmonics_section(l_max)
    zero = {a.target.name for a in section.body if a.value == 0}
    lines = [
        line
        for line in statements(section, "lanes", frozenset({"x", "y", "z"}))
        if not any(f" {name} =" in line for name in zero)
    ]
    lane = {"x", "y", "z"}
    for assign in section.body:
        if any(s.name in lane for s in assign.value.free_symbols):
            lane.add(assign.target.name)

    def vector(name: str) -> str:
        return name if name in lane else "zero" if name in zero else f"vec_of({name})"

    for l in range(l_max + 1):
        if l > 0 and solid:
            lines.append(f"next_degree(&scale, {l});")
        for m in range(l + 1):
            q, dq, at = f"q_{l}_{m}", f"dq_{l}_{m}", l * l + component(m)
            if m == 0:
                lines.append(f"keep(U, {at}, &scale, {vector(q)}, zero, zero, {vector(dq)}, x, y, z);")
                continue
            first, second = ("one", "zero") if m == 1 else (f"c_{m - 1}", f"s_{m - 1}")
            factor = f"{q}" if m == 1 else f"REAL({m}.0) * {q}"
            slope_c = "zero" if dq in zero else f"{dq} * c_{m}"
            slope_s = "zero" if dq in zero else f"{dq} * s_{m}"
            along, minus = f"{factor} * {first}", "zero" if m == 1 else f"-({factor} * {second})"
            across = "zero" if m == 1 else f"{factor} * {second}"
            lines.append(f"keep(U, {at}, &scale, {q} * c_{m}, {along}, {minus}, {slope_c}, x, y, z);")
            lines.append(f"keep(U, {at + 1}, &scale, {q} * s_{m}, {across}, {along}, {slope_s}, x, y, z);")
    return tuple(lines)


def render_design(design: DesignPlan) -> tuple[SourceFile, ...]:
    """The two files of the forward-mode kernel."""
    jinja = environment()
    jinja.filters["documented"] = documented
    jinja.filters["harmonics_gradients"] = harmonics_gradients
    values = {
        "plan": design.plan,
        "static": design.tables,
        "design": design,
        "forward": True,
        "tables": {"design": DESIGN, "gradients": GRADIENTS, "design_workspace": DESIGN_WORKSPACE},
    }
    return tuple(
        SourceFile(
            f"{design.plan.name}_design.{suffix}",
            wrap(tidy(prune(jinja.get_template(f"c/design.{suffix}.j2").render(values)))),
        )
        for suffix in ("h", "c")
    )
