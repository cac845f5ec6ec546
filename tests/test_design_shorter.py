"""Forward mode: functions that are a shorter one times an amplitude of degree 0, found in the basis itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from spec_texts import write_spec
from structures import lattice, worst

from acegen import GraphBatch
from acegen.compiler import compile_plan
from acegen.plan.design_shorter import levels, shorter_functions

SPECS = ("order4", "glorot3", "solid")


@pytest.mark.parametrize("name", SPECS)
def test_values_are_those_products(spec_folder: Path, kernels: Kernels, name: str) -> None:
    """B_f = factor A_v B_g for the atoms of a crystal, A_v from the function of order 1 of the same channel."""
    path = write_spec(spec_folder, name)
    model, (source, _) = kernels(path), compile_plan(path)
    graph = GraphBatch.from_atoms(lattice(model, (2, 2, 2), 3), model)
    basis = model.evaluate(graph, ("basis",)).basis
    n_compared = 0
    for a, centre in enumerate(source.potential.centres):
        found = shorter_functions(centre)
        assert found
        single = {f.channels[0]: (n, f) for n, f in enumerate(centre.functions) if len(f.channels) == 1 and not f.pair}
        rows = basis[graph.species == a]
        for f, entry in found.items():
            if entry.channel not in single:
                continue
            n, function = single[entry.channel]
            amplitude = rows[:, n] / function.coefficients.sum()
            expected = entry.factor * amplitude * rows[:, entry.function]
            assert worst(rows[:, f], expected) <= 1e-13
            n_compared += 1
    assert n_compared > 4


@pytest.mark.parametrize("name", SPECS)
def test_shorter_ones_come_first(spec_folder: Path, name: str) -> None:
    """Each is one channel shorter, and of a lower level than the functions kept that are made of it."""
    source, _ = compile_plan(write_spec(spec_folder, name))
    for centre in source.potential.centres:
        found = shorter_functions(centre)
        level = levels(found)
        assert list(level.values()) == sorted(level.values())
        for f, entry in found.items():
            left = list(centre.functions[f].channels)
            left.remove(entry.channel)
            assert centre.channels[entry.channel].l == 0
            assert sorted(left) == sorted(centre.functions[entry.function].channels)
            assert level.get(f, np.inf) > level[entry.function]


def test_other_coefficients_are_no_product(spec_folder: Path) -> None:
    """A function with one coefficient off by 1e-9 of itself is no multiple of a shorter one."""
    source, _ = compile_plan(write_spec(spec_folder, "order4"))
    centre = source.potential.centres[0]
    f = next(f for f in shorter_functions(centre) if len(centre.functions[f].coefficients) > 1)
    coefficients = centre.functions[f].coefficients.copy()
    coefficients[0] *= 1.0 + 1e-9
    functions = list(centre.functions)
    functions[f] = replace(functions[f], coefficients=coefficients)
    assert f not in shorter_functions(replace(centre, functions=tuple(functions)))
