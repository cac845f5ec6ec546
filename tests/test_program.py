"""Every form of a Program is the same polynomial: run in numpy on random pooled sums, they give the same basis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo import zoo_file

from acegen.inputs import read_input
from acegen.potential import Potential
from acegen.program.execute import basis, nodes
from acegen.program.lower import lower_centre


def forms_agree(potential: Potential) -> None:
    for centre in range(len(potential.species)):
        results = []
        for form in ("pair", "coupled", "flat"):
            program = lower_centre(potential, centre, form)
            assert program is not None, form
            pooled = np.random.default_rng(centre).normal(size=program.n_pooled)
            results.append(basis(program, nodes(program, pooled)))
        scale = np.abs(results[0]).max()
        assert scale > 0.0
        for other in results[1:]:
            assert np.abs(other - results[0]).max() <= 1e-13 * scale


@pytest.mark.parametrize("name", ["si_pair", "si", "cuau"])
def test_forms_of_a_specification_agree(specs: Path, name: str) -> None:
    forms_agree(read_input(specs / f"{name}.yaml").potential)


@pytest.mark.parametrize("name", ["W-small-s2", "AlNi-mixed-s1", "Mo-fs3-s1", "Cu-medium-s2", "C-rank6-s2"])
def test_forms_of_a_fitted_potential_agree(shared: Path, name: str) -> None:
    """The coupled form is recovered from flat coefficients; order 6 takes nodes of three factors."""
    forms_agree(read_input(zoo_file(shared, name)).potential)
