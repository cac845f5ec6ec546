"""One mathematics, six kernels: forms of the product basis and styles of its code agree to rounding."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import cluster, lattice, worst
from zoo import zoo_file

from acegen.compiler import compile_plan
from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.runtime.evaluation import Evaluation
from acegen.runtime.model import Model

PROPERTIES = ("energy", "energies", "forces", "virial", "virials", "basis")
LIMIT = 1e-13
VARIANTS = [(form, products) for form in ("coupled", "pair", "flat") for products in ("unrolled", "tiled")]
POTENTIALS = ("W-small-s1", "Mo-fs3-s1", "NiTi-zbl-s1", "C-rank6-s1", *SPECS)


@pytest.fixture(scope="module", params=POTENTIALS)
def source(request: pytest.FixtureRequest, kernels: Kernels, spec_folder: Path) -> Path:
    """A potential; all its kernels are being built when this returns."""
    name = request.param
    path = write_spec(spec_folder, name) if name in SPECS else zoo_file(request.getfixturevalue("shared"), name)
    for form, products in (("auto", "auto"), *(variant for variant in VARIANTS if variant != chosen(path))):
        kernels.start(path, None, form, products)
    return path


@cache
def chosen(path: Path) -> tuple[str, str]:
    """The variant that acegen takes by itself; ("", "") when species differ."""
    _, plan = compile_plan(path)
    found = {(shape.form, "tiled" if shape.loop else "unrolled") for shape in plan.shapes}
    return found.pop() if len(found) == 1 else ("", "")


def evaluate(model: Model) -> Evaluation:
    """A periodic structure below twice the cutoff with an odd number of atoms, and a cluster, in one batch."""
    return model.evaluate([lattice(model, (3, 3, 1), 1), cluster(model, 2)], PROPERTIES)


@pytest.mark.parametrize(("form", "products"), VARIANTS)
def test_forms_agree(source: Path, kernels: Kernels, form: str, products: str) -> None:
    """Every output of every variant equals that of the kernel which acegen chooses by itself."""
    if (form, products) == chosen(source):
        pytest.skip("the variant that acegen chooses")
    expected = evaluate(kernels(source))
    found = evaluate(kernels(source, None, form, products))
    for name in PROPERTIES:
        assert worst(getattr(found, name), getattr(expected, name)) <= LIMIT, name


def test_kernel_equals_interpreter(source: Path, kernels: Kernels) -> None:
    """The chosen kernel against the reference, which shares neither forms nor generated code with it."""
    model = kernels(source)
    given = read_input(source)
    limit = max([LIMIT, *(20.0 * error for _, error in given.tables)])  # tables: their certified error, times weights
    for atoms in (lattice(model, (3, 3, 1), 1), cluster(model, 2)):
        species = [model.species.index(symbol) for symbol in atoms.symbols]
        expected = interpret(given.exact, np.array(species), atoms.positions, atoms.cell.array, atoms.pbc)
        found = model.evaluate(atoms, PROPERTIES)
        assert worst(found.energies, expected.energies) <= limit
        assert worst(found.forces, expected.forces) <= limit
        assert worst(found.virial[0], expected.virial) <= limit
        assert worst(found.virials, expected.virials) <= limit
        assert worst(found.basis, expected.basis) <= limit


@pytest.mark.parametrize(("form", "products"), VARIANTS)
def test_the_form_asked_for_is_the_form_compiled(spec_folder: Path, form: str, products: str) -> None:
    """Otherwise the agreement above would prove nothing."""
    _, plan = compile_plan(write_spec(spec_folder, "order4"), None, form, products)
    assert {shape.form for shape in plan.shapes} == {form}
    assert {shape.loop for shape in plan.shapes} == {products == "tiled"}
