"""Counted operations of the example specifications are pinned: a change that costs work is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from acegen.compiler import compile_plan
from acegen.inputs import read_input
from acegen.program.cost import product_operations
from acegen.program.lower import lower_centre

# multiply-adds: per edge (pooling forward, contraction backward), per atom (mixing; nodes, bilinear form, adjoint)
PINNED = {
    "si_pair": {"edge": 48, "mixing": 0, "products": 48},
    "si": {"edge": 228, "mixing": 0, "products": 707},
    "cuau": {"edge": 99, "mixing": 0, "products": 840},
}


@pytest.mark.parametrize("name", PINNED)
def test_counted_operations(specs: Path, name: str) -> None:
    """Less is progress: then lower the numbers here."""
    _, plan = compile_plan(specs / f"{name}.yaml")
    assert dict(plan.operations) == PINNED[name]


@pytest.mark.parametrize("name", PINNED)
def test_the_cheapest_form_is_chosen(specs: Path, name: str) -> None:
    """The default is no dearer than any form that can be asked for."""
    potential = read_input(specs / f"{name}.yaml").potential
    for centre in range(len(potential.species)):
        chosen = lower_centre(potential, centre)
        assert chosen is not None
        for form in ("coupled", "pair"):
            other = lower_centre(potential, centre, form)
            assert other is None or product_operations(chosen) <= product_operations(other)
