"""The compile stages, one line each: whoever reads only this file knows the house.

    read       spec.yaml | .yace | .yaml | .ace   ->  Input        (files, units and rules; inputs.py)
    enumerate  (inside read)                      ->  Potential    (the one internal model; potential.py)
    lower      Potential                          ->  Program      (pooled sums, products, bilinear form; program/)
    plan       Program, Target                    ->  Plan         (where mathematics meets memory; plan/)
    render     Plan                               ->  SourceFile   (C, and CUDA where wanted, through Jinja; emit/)
    write      files                              ->  bundle       (aside, then renamed; emit/bundle.py)

Building and loading belong to the other tower: acegen.build and acegen.runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from acegen.basis.fold import fold_order_one
from acegen.basis.kept import kept_arrays
from acegen.basis.scaled import scale_radials
from acegen.emit.bundle import bundle_files, write_bundle
from acegen.emit.cuda import render_cuda
from acegen.emit.cuda_design import render_cuda_design
from acegen.emit.design import render_design
from acegen.emit.environment import templates_digest
from acegen.emit.render import SourceFile, render_c
from acegen.errors import SpecError
from acegen.inputs import Input, read_input
from acegen.manifest import Manifest
from acegen.plan.design import linear_twin, make_design
from acegen.plan.design_types import DesignPlan
from acegen.plan.plan import make_plan
from acegen.plan.types import Plan, Target
from acegen.potential import Potential
from acegen.program.lower import FORMS, lower
from acegen.record import Record

PRECISIONS = ("float64", "float32")
PRODUCTS = ("auto", "unrolled", "tiled")
TARGETS = ("c", "cuda")  # C is always written, it is the reference


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Everything the stages produced, for those who want to look inside."""

    source: Input
    plan: Plan
    files: tuple[SourceFile, ...]
    manifest: Manifest
    binary: tuple[tuple[str, bytes], ...]  # files that are not text: weights.npz


def _checked(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise SpecError(f"{key}: found {value!r}, expected one of {', '.join(allowed)}")
    return value


def compile_plan(
    path: Path, precision: str | None = None, form: str = "auto", products: str = "auto"
) -> tuple[Input, Plan]:
    """Stages read to plan: enough for `acegen info`."""
    source, _ = _read(Path(path))
    return source, _plan(source, precision, form, products)


def _read(path: Path) -> tuple[Input, dict[str, np.ndarray]]:
    """The input and what its bundle keeps beside the weights; the weights of a model with a committee must vary."""
    source = read_input(path)
    kept = kept_arrays(path, source.potential)
    if "committee_0" in kept:
        source = replace(source, potential=replace(source.potential, replaceable=True))
    return source, kept


def _plan(source: Input, precision: str | None, form: str, products: str) -> Plan:
    """Stages lower and plan."""
    _checked("form", form, FORMS)
    _checked("products", products, PRODUCTS)
    chosen = _checked("precision", precision or source.precision, PRECISIONS)
    potential = scale_radials(source.potential)
    if chosen == "float32":
        potential = fold_order_one(potential)
    programs = lower(potential, form)
    target = Target(precision=chosen, form=form, products=products, series=True)
    options = [f" --precision {chosen}"] if chosen != source.precision else []
    options += [f" --form {form}"] if form != "auto" else []
    options += [f" --products {products}"] if products != "auto" else []
    command = f"acegen compile {source.potential.source}{''.join(options)}"
    return make_plan(potential, programs, target, command, templates_digest())


def plan_design(potential: Potential, plan: Plan, *, cards: bool = False) -> DesignPlan | None:
    """Plan of the forward mode, in double precision; None where the energy is not linear in the functions.

    Args:
        potential: as it was read.
        plan: of its energy kernel.
        cards: for CUDA.
    """
    if any(c.embedding.kind != "linear" or c.embedding.n_densities != 1 for c in potential.centres):
        return None
    twin = linear_twin(potential)
    return make_design(twin, lower(twin, "coupled"), plan.command, plan.templates, cards=cards)


def compile_files(
    path: Path,
    precision: str | None = None,
    form: str = "auto",
    products: str = "auto",
    progress: Callable[[str], None] = lambda stage: None,
    targets: Sequence[str] = ("c",),
) -> Compiled:
    """All stages but writing; the same input gives the same bytes.

    Args:
        path: a basis specification or a PACE potential.
        precision: "float64" or "float32"; None: what the input asks for.
        form: of the product basis, "auto", "coupled", "pair" or "flat".
        products: "auto", "unrolled" or "tiled".
        progress: called with the name of each stage as it begins.
        targets: "c", and "cuda" for CUDA kernels beside the C ones.

    Raises:
        SpecError, PotentialError: the input breaks a rule.
    """
    for target in targets:
        _checked("targets", target, TARGETS)
    progress("read and plan")
    source, kept = _read(Path(path))
    plan = _plan(source, precision, form, products)
    progress("render")
    texts = list(render_c(plan))
    records: dict[str, Record] = {}
    design_file, design = None, plan_design(source.potential, plan)
    if design is not None:
        texts += render_design(design)
        design_file = texts[-1].path
    if "cuda" in targets:
        text, records["cuda"] = render_cuda(plan)
        texts.append(text)
        design = plan_design(source.potential, plan, cards=True)
        if design is not None:
            text, records["cuda_design"] = render_cuda_design(design)
            texts.append(text)
    progress("bundle")
    files, manifest, binary = bundle_files(source, plan, tuple(texts), records, kept, design_file)
    return Compiled(source, plan, files, manifest, binary)


def compile_bundle(
    path: Path | str,
    out: Path | str,
    precision: str | None = None,
    form: str = "auto",
    products: str = "auto",
    progress: Callable[[str], None] = lambda stage: None,
    targets: Sequence[str] = ("c",),
) -> Manifest:
    """Compile an input to the bundle folder `out`; an existing bundle there is replaced only when all went well.

    Raises:
        SpecError, PotentialError: the input breaks a rule, or `out` is something else than a bundle.
    """
    compiled = compile_files(Path(path), precision, form, products, progress, targets)
    write_bundle(Path(out), compiled.files, compiled.manifest, compiled.binary)
    return compiled.manifest
