"""Other kernels for the same potential in `acegen verify`: forms, layouts, float32, and the bundle's selftest."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from acegen.build.cc import compile_library, find_compiler
from acegen.cli.verify_checks import SINGLE_FORCES, Check, Subject
from acegen.manifest import Manifest
from acegen.runtime.kernel import Kernel
from acegen.runtime.model import Model

# Each is compiled once and run on a few atoms: compiling at -O2 would take most of the time of `verify`.
# The kernel under test itself is the one from the cache, built with the flags that users get.
_FLAGS = ("-std=c11", "-O0", "-fPIC")
_FLAT_LIMIT = 1500  # monomials: beyond, the textbook form takes long to write and compile
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_ERRORS = re.compile(r"largest error of site energies (\S+) eV, of forces (\S+) eV/A")


def forms(subject: Subject) -> list[Check]:
    """Every other form of the product basis and the other layout agree with the kernel under test to rounding."""
    compiled, path = subject.compiled, subject.source
    if compiled is None or path is None:
        return [Check("other forms", None, 0.0, "a bundle holds one form only")]
    from acegen.compiler import compile_plan
    from acegen.emit.render import render_c

    kinds = {shape.form for shape in compiled.plan.shapes}
    loops = {shape.loop for shape in compiled.plan.shapes}
    other_layout = "unrolled" if loops == {True} else "tiled"
    wanted = [(subject.options["form"], other_layout)]
    wanted += [(form, subject.options["products"]) for form in ("coupled", "pair") if kinds != {form}]
    if _n_monomials(subject) <= _FLAT_LIMIT and kinds != {"flat"}:
        wanted.append(("flat", "auto"))
    with ThreadPoolExecutor(max_workers=2) as pool:  # the C compiler works on one while the next is written
        models = []
        for form, products in wanted:
            plan = compile_plan(path, subject.model.precision, form, products)[1]
            folder = subject.scratch / f"{form}-{products}"
            folder.mkdir()
            for file in render_c(plan):
                (folder / file.path).write_text(file.text, encoding="utf-8")
            manifest = replace(subject.model.manifest, n_coefficients=len(plan.coefficients))
            layout = "tiled" if all(shape.loop for shape in plan.shapes) else "unrolled"
            built_as = "/".join(sorted({shape.form for shape in plan.shapes}))
            models.append((f"form {built_as}, {layout}", pool.submit(_built, folder, manifest, plan.real, folder)))
        return [_compared(subject, name, model.result()) for name, model in models]


def _n_monomials(subject: Subject) -> int:
    from acegen.program.monomials import blocks

    assert subject.compiled is not None  # the caller knows
    centres = subject.compiled.source.potential.centres
    return sum(len(block.ms) for centre in centres for block in blocks(centre))


def float32(subject: Subject) -> list[Check]:
    """The kernel that loading in single precision gives; of a bundle, its C source in single precision."""
    folder, manifest = subject.folder, subject.model.manifest
    if subject.source is not None:
        from acegen.compiler import compile_plan
        from acegen.emit.render import render_c

        plan = compile_plan(subject.source, "float32", subject.options["form"], subject.options["products"])[1]
        folder = subject.scratch / "float32"
        folder.mkdir()
        for file in render_c(plan):
            (folder / file.path).write_text(file.text, encoding="utf-8")
        manifest = replace(manifest, n_coefficients=len(plan.coefficients))
    model = _built(folder, manifest, "float", subject.scratch)
    single = model.evaluate(subject.base_graph, ("energy", "forces"))
    return subject.single_precision("float32", single, subject.base)


def double(subject: Subject) -> list[Check]:
    """A kernel in single precision against its own C source in double: what rounding alone costs."""
    model = _built(subject.folder, subject.model.manifest, "double", subject.scratch)
    return subject.single_precision("float64", subject.base, model.evaluate(subject.base_graph, ("energy", "forces")))


def _compared(subject: Subject, name: str, model: Model) -> Check:
    """Energies, forces and basis of another kernel in one line: the worst in units of its limit."""
    out = model.evaluate(subject.base_graph, ("energies", "forces", "basis"))
    base = subject.base
    checks = (
        subject.energies_check(name, out.energies, base.energies, 1e-12),
        subject.forces_check(name, out.forces, base.forces, 1e-11),
        Check(f"{name}: basis", subject.basis_error(out.basis, base.basis), subject.limit(1e-11, SINGLE_FORCES)),
    )
    errors = [check.measured / check.limit for check in checks if check.measured is not None]
    worst = checks[int(np.argmax(errors))]  # the first nan, if any
    return Check(name, worst.measured, worst.limit, worst.name.rpartition(": ")[2])


def _built(folder: Path, manifest: Manifest, real: str, out: Path) -> Model:
    """Model of the C files of a folder, compiled without optimisation to a library in `out`."""
    library = out / f"{real}.so"
    flags = (*_FLAGS, f"-DACEGEN_REAL={real}")
    sources = [folder / name for name in manifest.sources]
    compile_library(find_compiler(), flags, sources, library, out / f"{real}.log")
    kernel = Kernel(manifest.name, library, manifest.n_basis, manifest.n_coefficients)
    return Model(manifest, kernel, {"double": "float64", "float": "float32"}[real], 1)


def selftest(subject: Subject) -> list[Check]:
    """The bundle's own selftest.c, compiled with its C files and run: no acegen involved."""
    program = subject.scratch / "selftest"
    sources = [subject.folder / name for name in (*subject.model.manifest.sources, "selftest.c")]
    compiler = find_compiler()
    name = "selftest.c"
    if not sources[-1].is_file():
        return [Check(name, None, 0.0, "the bundle holds no selftest.c")]
    command = [*compiler.command, "-std=c11", "-O0", *map(str, sources), "-o", str(program), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if built.returncode != 0:
        first = next((line for line in built.stderr.splitlines() if "error" in line), "no message")
        return [Check(name, float("inf"), 0.0, f"does not compile: {first}")]
    result = subprocess.run([str(program)], capture_output=True, text=True, errors="replace", check=False)
    match = _ERRORS.search(result.stdout)
    if match is None:
        return [Check(name, float("inf"), 0.0, "unexpected output")]
    limit, energy, force = _frozen(sources[-1].read_text(encoding="utf-8"))
    error = max(float(match[1]) / energy, float(match[2]) / force)
    # the exit code knows the verdict; errors are printed with two digits
    return [Check(name, min(error, limit), limit) if result.returncode == 0 else Check(name, error, 0.0)]


def _frozen(text: str) -> tuple[float, float, float]:
    """Limit of a selftest.c and what it is relative to: largest energy (at least 1 eV) and force (1e-3 eV/angstrom)."""
    limit = re.search(r"define ACEGEN_TOLERANCE (\S+)", text)
    sizes = [1.0, 1e-3]
    for k, array in enumerate(("ENERGIES", "FORCES")):
        found = re.search(rf"{array}\[[^=]*= \{{(.*?)\n\}};", text, re.DOTALL)
        sizes[k] = max([sizes[k], *(abs(float(x)) for x in _NUMBER.findall(found[1] if found else ""))])
    return float(limit[1]) if limit else 0.0, sizes[0], sizes[1]
