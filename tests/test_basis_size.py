"""Large bases: sizes are known before enumeration, too large ones are refused, patterns are shared without harm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from structures import cluster, worst

from acegen.basis.product import bodies
from acegen.basis.size import order_sizes
from acegen.cli.main import main
from acegen.errors import AcegenError
from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.maths.coupling import invariants, n_classes
from acegen.program.cost import product_operations
from acegen.program.lower import lower_centre
from acegen.program.monomials import blocks
from acegen.program.pair_split import least_operations
from acegen.spec.model import BasisSpec
from acegen.spec.read import read_spec

SYMBOLS = ["Cr", "Mn", "Fe", "Co", "Ni"]
CASES = [
    (1, 3, "degree: 10\n"),
    (1, 6, "degree: 11\n"),
    (2, 4, "degree: [12, 10, 9, 7]\n"),
    (3, 3, "degree: 7\n"),
    (1, 5, "degree: 9\nl_weight: 0.7\n"),
    (2, 3, "n_max: [5, 3, 2]\nl_max: [0, 3, 2]\n"),
]


def write(folder: Path, n_species: int, order: int, keys: str) -> Path:
    path = folder / "model.yaml"
    path.write_text(f"elements: [{', '.join(SYMBOLS[:n_species])}]\norder: {order}\ncutoff: 5\n{keys}")
    return path


@pytest.mark.parametrize(("n_species", "order", "keys"), CASES)
def test_counted_sizes_are_the_enumerated_ones(tmp_path: Path, n_species: int, order: int, keys: str) -> None:
    """Rows of every order, and complex products with sum m = 0, as the enumeration finds them."""
    spec = read_spec(write(tmp_path, n_species, order, keys))
    rows: Counter[int] = Counter()
    for body in bodies(spec):
        rows[len(body.factors)] += body.n_rows
    found = list(order_sizes(spec))
    assert [size.order for size in found] == list(range(1, order + 1))
    for size in found:
        assert abs(size.n_rows - rows[size.order]) < 1e-6
        assert size.n_products >= size.n_rows - 1e-6


def test_a_huge_specification_is_refused_unenumerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that names file, key, what was found, the limit and the key that lifts it."""

    def refuse(spec: BasisSpec) -> None:
        raise AssertionError("the basis was enumerated")

    monkeypatch.setattr("acegen.basis.coupled.bodies", refuse)
    path = write(tmp_path, 3, 6, "degree: 30\n")
    assert main(["info", str(path)]) == 2
    text = capsys.readouterr().err
    assert "model.yaml: degree: expected at most 100,000 functions per species, got " in text
    assert "raise the key max_functions" in text


@pytest.mark.parametrize("verb", ["info", "compile"])
def test_a_large_basis_is_told_before_it_is_enumerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """On stderr, also where that is no terminal: what follows takes a minute."""

    def stop(spec: BasisSpec) -> None:
        raise AcegenError("enumerated")

    monkeypatch.setattr("acegen.basis.coupled.bodies", stop)
    path = write(tmp_path, 1, 3, "degree: [64, 64, 40]\n")
    assert main([verb, str(path)]) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.splitlines() == [
        f"acegen: {path}: 66,824 functions per species, a large basis: this may take minutes",
        "acegen: enumerated",
    ]
    assert main([verb, str(write(tmp_path, 1, 3, "degree: 8\n"))]) == 2
    assert capsys.readouterr().err == "acegen: enumerated\n"


def test_the_limit_can_be_set(tmp_path: Path) -> None:
    """It is no part of the model: the digest stays."""
    with pytest.raises(AcegenError, match="expected at most 53 functions per species, got 54;"):
        read_input(write(tmp_path, 1, 3, "degree: 8\nmax_functions: 53\n"))
    raised = read_input(write(tmp_path, 1, 3, "degree: 8\nmax_functions: 54\n")).potential
    assert raised.digest == read_input(write(tmp_path, 1, 3, "degree: 8\n")).potential.digest


def test_a_body_of_too_many_products_is_refused() -> None:
    """The elimination would need gigabytes."""
    groups = tuple((l, 1) for l in (5, 6, 6, 6, 7, 8))
    assert n_classes(groups)[38] > 100_000
    with pytest.raises(AcegenError, match=r"coupling of l = 5 6 6 6 7 8: .* products exceed 16000"):
        invariants(groups)


def test_invariants_of_many_classes() -> None:
    """Orthonormal and annihilated by J+ (checked inside) where hundreds of classes and dozens of rows meet."""
    found = invariants(((2, 2), (3, 2), (3, 2)))
    assert found.rows.shape == (24, 958) and found.residual < 1e-13
    assert np.abs(found.rows @ found.rows.T - np.eye(24)).max() < 1e-14


@pytest.mark.parametrize(("order", "keys"), [(4, "degree: 9\n"), (5, "degree: 8\n"), (6, "degree: 8\n")])
def test_the_pair_form_is_never_cheaper_than_its_bound(tmp_path: Path, order: int, keys: str) -> None:
    """What makes it safe to skip that form, or to abandon it early."""
    potential = read_input(write(tmp_path, 2, order, keys)).potential
    program = lower_centre(potential, 0, "pair")
    assert program is not None
    assert 0 < least_operations(blocks(potential.centres[0]), 1) <= product_operations(program)


def test_order_five_against_the_interpreter(tmp_path: Path, kernels: Kernels) -> None:
    """A basis of a few hundred functions, two species, tiled; it shares neither forms nor code with the reference."""
    path = write(tmp_path, 2, 5, "degree: 6\nweights: {kind: random, seed: 5}\n")
    model = kernels(path)
    atoms = cluster(model, 2)
    given = read_input(path).exact
    species = np.array([model.species.index(symbol) for symbol in atoms.symbols])
    expected = interpret(given, species, atoms.positions, atoms.cell.array, atoms.pbc)
    found = model.evaluate(atoms, ("energies", "forces", "basis"))
    assert max(len(function.channels) for function in given.centres[0].functions) == 5
    assert worst(found.energies, expected.energies) <= 1e-13
    assert worst(found.forces, expected.forces) <= 1e-13
    assert worst(found.basis, expected.basis) <= 1e-13
