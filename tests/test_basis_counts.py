"""The basis has the published sizes, the published row order, and spans the independent reference's space."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from acegen.basis.coupled import enumerate_potential
from acegen.basis.product import bodies
from acegen.basis.real_form import counts, real_offsets, real_products
from acegen.basis.table import basis_table
from acegen.spec.model import BasisSpec
from acegen.spec.read import read_spec

SYMBOLS = ["Cr", "Mn", "Fe", "Co", "Ni"]

# order, degree, species: n_A, n_AA, n_B
PUBLISHED = [
    (2, 8, 1, 25, 47, 31),
    (2, 16, 1, 166, 451, 163),
    (2, 12, 3, 255, 1451, 643),
    (2, 8, 5, 157, 1033, 621),
    (3, 8, 1, 25, 84, 54),
    (3, 12, 1, 75, 596, 211),
    (3, 16, 1, 166, 3507, 668),
    (3, 8, 2, 58, 550, 308),
    (3, 10, 3, 159, 5655, 2156),
    (3, 8, 5, 157, 7600, 3824),
    (4, 8, 1, 25, 105, 69),
    (4, 12, 1, 75, 975, 338),
    (4, 14, 1, 116, 2956, 710),
    (4, 16, 1, 166, 8627, 1445),
    (4, 10, 2, 101, 3791, 1482),
    (4, 12, 2, 165, 13919, 3727),
    (4, 8, 4, 124, 11299, 5772),
]
COMPARED = [(1, 3, 10), (1, 4, 12), (1, 4, 16), (1, 5, 12), (2, 3, 8), (3, 2, 7), (2, 4, 10)]


def make(folder: Path, n_species: int, order: int, degree: object, extra: str = "cutoff: 5.5\n") -> BasisSpec:
    path = folder / "model.yaml"
    path.write_text(f"elements: [{', '.join(SYMBOLS[:n_species])}]\norder: {order}\ndegree: {degree}\n{extra}")
    return read_spec(path)


@pytest.fixture(scope="module")
def reference(shared: Path):
    """The NumPy reference program of the linear model."""
    folder = str(shared / "prototypes" / "ace_reference")
    sys.path.insert(0, folder)
    try:
        import ace_ref
    finally:
        sys.path.remove(folder)
    return ace_ref


@pytest.mark.parametrize(("order", "degree", "n_species", "n_A", "n_AA", "n_B"), PUBLISHED)
def test_published_sizes(
    tmp_path: Path, order: int, degree: int, n_species: int, n_A: int, n_AA: int, n_B: int
) -> None:
    found = counts(make(tmp_path, n_species, order, degree))
    assert (found.n_A, found.n_AA, found.n_B, found.n_pair) == (n_A, n_AA, n_B, 0)


@pytest.mark.parametrize("rows", ["by_order", "lexicographic"])
@pytest.mark.parametrize(("n_species", "order", "degree"), COMPARED)
def test_bodies_equal_the_reference_list(
    tmp_path: Path, reference, n_species: int, order: int, degree: int, rows: str
) -> None:
    spec = make(tmp_path, n_species, order, degree, f"cutoff: 5.5\nrow_order: {rows}\n")
    expected = reference.bodies(n_species, order, degree, layout="julia" if rows == "by_order" else "dfs")
    expected = [sorted(body) for body in expected if len(reference.complex_invariants(reference._groups(body))[0])]
    assert [sorted(body.factors) for body in bodies(spec)] == expected


@pytest.mark.parametrize(("n_species", "order", "degree"), COMPARED)
def test_rows_equal_the_reference_rows(tmp_path: Path, reference, n_species: int, order: int, degree: int) -> None:
    """Gauge included, coefficient by coefficient over the products of real A functions, and the span besides."""
    spec = make(tmp_path, n_species, order, degree)
    potential = enumerate_potential(spec)
    centre = potential.centres[0]
    offsets = real_offsets(centre.channels)
    names = [(c.n, c.l, c.neighbour, m) for c in centre.channels for m in range(-c.l, c.l + 1)]
    assert len(names) == offsets[-1]
    row, checked = 0, {}
    for body in bodies(spec):
        expected, classes = reference.real_invariants(reference._groups(list(body.factors)))
        ours = np.zeros_like(expected)
        column = {}
        for j, key in enumerate(classes):
            flat = zip(body.factors, (m for group in key for m in group), strict=True)
            column[tuple(sorted((((n - 1) // n_species) + 1, l, (n - 1) % n_species, m) for (n, l), m in flat))] = j
        for r in range(body.n_rows):
            tuples, values = real_products(centre.functions[row + r], centre.channels)
            for key, value in zip(tuples, values, strict=True):
                ours[r, column[tuple(sorted(names[a] for a in key))]] = value
        row += body.n_rows
        if body.groups not in checked:
            basis = np.linalg.qr(expected.T)[0]
            checked[body.groups] = np.abs(ours.T - basis @ (basis.T @ ours.T)).max()
        assert np.abs(ours - expected).max() < 1e-12
    assert row == len(centre.functions)
    assert max(checked.values()) < 1e-12


@pytest.mark.parametrize("extra", ["cutoff: 5\n", "preset: ace1\n", "preset: ace_jax\nradial: {weights: glorot}\n"])
def test_counts_of_spec_and_potential_agree(tmp_path: Path, extra: str) -> None:
    spec = make(tmp_path, 2, 4, 7, extra)
    assert counts(spec) == counts(enumerate_potential(spec))


def test_degree_per_order_restricts_each_order(tmp_path: Path) -> None:
    """A list of degrees keeps, of each order, exactly the bodies of that total degree."""
    mixed = bodies(make(tmp_path, 2, 3, "[8, 6, 5]"))
    for order, degree in ((1, 8), (2, 6), (3, 5)):
        plain = [body for body in bodies(make(tmp_path, 2, 3, degree)) if len(body.factors) == order]
        assert {b.factors for b in mixed if len(b.factors) == order} == {b.factors for b in plain}


def test_n_max_and_l_max_bound_every_factor(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("elements: [Si, Ge]\norder: 3\nn_max: [5, 3, 2]\nl_max: [0, 3, 1]\ncutoff: 5\n")
    spec = read_spec(path)
    found = bodies(spec)
    assert sum(len(body.factors) == 1 for body in found) == 5 * 2
    # order 2: pairs of equal l <= 3 out of 3 * 2 values of n
    assert sum(len(body.factors) == 2 for body in found) == 4 * 21
    for body in found:
        order = len(body.factors)
        assert all((n - 1) // 2 < (5, 3, 2)[order - 1] and l <= (0, 3, 1)[order - 1] for n, l in body.factors)


def test_six_species_need_the_tolerance(tmp_path: Path) -> None:
    """Rounding in n/6 loses one body of order 2, degree 6 in a bare comparison."""
    text = "elements: [Cr, Mn, Fe, Co, Ni, Cu]\norder: 2\ndegree: 6\ncutoff: 5\n"
    path = tmp_path / "model.yaml"
    path.write_text(text)
    tolerant = len(bodies(read_spec(path)))
    path.write_text(text + "level_tolerance: 0\n")
    assert len(bodies(read_spec(path))) == tolerant - 1


def test_basis_table_has_one_line_per_row(tmp_path: Path) -> None:
    potential = enumerate_potential(make(tmp_path, 2, 3, 5, "preset: ace1\n"))
    text = basis_table(potential)
    lines = [line for line in text.splitlines() if line[:6].strip().isdigit()]
    assert len(lines) == len(potential.centres[0].functions)
    assert text == basis_table(enumerate_potential(make(tmp_path, 2, 3, 5, "preset: ace1\n")))
    assert "(Mn 1 0)" in text and "pair (Cr 5 0)" in text and not any(line != line.rstrip() for line in lines)
