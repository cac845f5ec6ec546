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
from dataclasses import dataclass
from pathlib import Path

from acegen.basis.fold import fold_order_one
from acegen.basis.kept import kept_arrays
from acegen.emit.bundle import bundle_files, write_bundle
from acegen.emit.cuda import render_cuda
from acegen.emit.design import render_design
from acegen.emit.environment import templates_digest
from acegen.emit.render import SourceFile, render_c
from acegen.errors import SpecError
from acegen.inputs import Input, read_input
from acegen.manifest import Manifest
from acegen.plan.design import linear_twin, make_design
from acegen.plan.plan import make_plan
from acegen.plan.types import Plan, Target
from acegen.potential import Potential
from acegen.program.lower import FORMS, lower

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
    _checked("form", form, FORMS)
    _checked("products", products, PRODUCTS)
    source = read_input(Path(path))
    chosen = _checked("precision", precision or source.precision, PRECISIONS)
    potential = source.potential
    if chosen == "float32" and not potential.replaceable:
        potential = fold_order_one(potential)
    programs = lower(potential, form)
    target = Target(precision=chosen, form=form, products=products)
    options = [f" --precision {chosen}"] if chosen != source.precision else []
    options += [f" --form {form}"] if form != "auto" else []
    options += [f" --products {products}"] if products != "auto" else []
    command = f"acegen compile {source.potential.source}{''.join(options)}"
    return source, make_plan(potential, programs, target, command, templates_digest())


def compile_design(potential: Potential, plan: Plan) -> tuple[SourceFile, ...]:
    """The forward-mode kernel in double precision; nothing for potentials that are no linear model."""
    if not potential.linear:
        return ()
    twin = linear_twin(potential)
    return render_design(make_design(twin, lower(twin, "coupled"), plan.command, plan.templates))


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
    source, plan = compile_plan(path, precision, form, products)
    progress("render")
    texts, record = render_c(plan), None
    if "cuda" in targets:
        text, record = render_cuda(plan)
        texts = (*texts, text)
    design = compile_design(source.potential, plan)
    texts = (*texts, *design)
    progress("bundle")
    kept = kept_arrays(Path(path), source.potential)
    design_file = design[-1].path if design else None
    files, manifest, binary = bundle_files(source, plan, texts, record, kept, design_file)
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
