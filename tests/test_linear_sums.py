"""Linear models: scaled recurrences leave the basis as it is, and functions that no product needs are summed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spec_texts import write_spec

from acegen.basis.scaled import scale_radials
from acegen.compiler import compile_plan
from acegen.inputs import read_input
from acegen.interpreter.evaluate import interpret
from acegen.maths.radial import radial_rows
from acegen.plan.cuda import make_cuda_plan
from acegen.plan.series import sums
from acegen.potential import Embedding, Potential
from acegen.program.cost import UNROLL_LIMIT, pair_budget
from acegen.program.lower import lower


def potential_of(name: str, folder: Path) -> Potential:
    return read_input(write_spec(folder, name)).potential


@pytest.mark.parametrize("name", ["order4", "glorot3", "solid", "splined"])
def test_scaled_recurrences_give_the_same_basis(name: str, spec_folder: Path) -> None:
    potential = potential_of(name, spec_folder)
    scaled = scale_radials(potential)
    rng = np.random.default_rng(1)
    species = rng.integers(0, len(potential.species), 5)
    places, cell, periodic = rng.uniform(0.0, 4.5, (5, 3)), 20.0 * np.eye(3), np.zeros(3, bool)
    expected = interpret(potential, species, places, cell, periodic)
    found = interpret(scaled, species, places, cell, periodic)
    np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-12)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-12 * np.abs(expected.forces).max())


def test_every_step_of_a_scaled_recurrence_takes_2_x(spec_folder: Path) -> None:
    potential = scale_radials(potential_of("order4", spec_folder))
    rows = [radial_rows(family) for family in potential.bonds[0][0].families]
    assert rows
    for row in rows:
        assert row is not None
        assert [a for a, _, _ in row] == [1.0, *[2.0] * (len(row) - 1)]


def test_centres_that_share_functions_go_on_sharing_them(spec_folder: Path) -> None:
    potential = potential_of("solid", spec_folder)
    shared = replace(
        potential, centres=tuple(replace(c, functions=potential.centres[0].functions) for c in potential.centres)
    )
    first, *others = scale_radials(shared).centres
    assert others and all(centre.functions is first.functions for centre in others)


def test_the_pair_functions_are_summed_and_not_pooled(spec_folder: Path) -> None:
    """The C kernel forms no function of the pair family; CUDA kernels pool all functions as they did."""
    _, plan = compile_plan(write_spec(spec_folder, "order4"))
    (edge,) = plan.edges
    (summed,) = edge.series
    assert edge.whole is not None
    places = set(range(summed.first, summed.first + summed.size))
    pooled = {k for tile in edge.tiles for k in range(tile.first, tile.first + tile.rows)}
    contracted = {k for run in edge.contractions for k in range(run.first, run.first + run.rows)}
    assert pooled == contracted == set(range(edge.n_primitives)) - places
    assert {first for *_, first, _ in edge.whole.radials} == {first for *_, first, _ in edge.radials} | {summed.first}
    whole = make_cuda_plan(plan).plan.edges[0]
    assert not whole.series
    assert {k for run in whole.contractions for k in range(run.first, run.first + run.rows)} == set(
        range(edge.n_primitives)
    )


def test_nothing_is_summed_where_it_would_not_be_the_same(spec_folder: Path) -> None:
    """Functions that products use, and sums that pass through an embedding, stay pooled."""
    potential = potential_of("order4", spec_folder)
    (program,) = lower(potential)
    (found,) = sums(potential, 0, 0, program)
    assert found.family == 1
    (centre,) = potential.centres
    for embedding in (Embedding("FinnisSinclair"), Embedding("linear", (0.5,))):
        other = replace(potential, centres=(replace(centre, embedding=embedding),))
        assert sums(other, 0, 0, program) == ()
    assert sums(replace(potential, switching="density"), 0, 0, program) == ()
    assert sums(potential_of("splined", spec_folder), 0, 0, lower(potential_of("splined", spec_folder))[0]) == ()


def test_the_pair_form_must_save_more_where_its_products_are_tables() -> None:
    """Saving a sixth is enough for straight-line code, tables ask for two sevenths; no step between the two."""
    assert pair_budget(1200) == 1000
    assert pair_budget(1800) == pair_budget(2000) == UNROLL_LIMIT
    assert pair_budget(14000) == 10000
    budgets = [pair_budget(n) for n in range(0, 5000, 7)]
    assert budgets == sorted(budgets)
