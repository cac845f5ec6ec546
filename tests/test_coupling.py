"""Coupling coefficients: dimension, sample values, gauge, invariance and independence of every row."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from amplitudes import evaluate_complex, random_rotation, real_harmonics

from acegen.basis.coupled import enumerate_potential
from acegen.basis.real_form import real_offsets, real_products
from acegen.maths.coupling import classes, half_terms, invariants, n_classes, n_invariants
from acegen.maths.wigner import wigner_3j
from acegen.potential import BasisFunction, Channel
from acegen.spec.read import read_spec

PATTERNS = [
    ((0, 1),),
    ((1, 1), (1, 1)),
    ((2, 2),),
    ((1, 2), (2, 1)),
    ((1, 1), (2, 1), (3, 1)),
    ((2, 3),),
    ((1, 2), (1, 2)),
    ((1, 1), (1, 1), (1, 1), (1, 1)),
    ((1, 1), (2, 2), (3, 1)),
    ((2, 4),),
    ((1, 4), (2, 1)),
    ((1, 2), (2, 2), (2, 1)),
    ((1, 6),),
    ((1, 3), (2, 2), (3, 1)),
]


def channels_of(groups) -> tuple[tuple[int, ...], list[int]]:
    """(slot of every factor, l of every slot)."""
    return tuple(g for g, (_, k) in enumerate(groups) for _ in range(k)), [l for l, _ in groups]


@pytest.mark.parametrize("groups", PATTERNS)
def test_rows_are_orthonormal_and_as_many_as_counted(groups) -> None:
    table = invariants(groups)
    assert len(table.rows) == n_invariants(groups)
    assert np.abs(table.rows @ table.rows.T - np.eye(len(table.rows))).max(initial=0.0) < 1e-13
    assert table.residual < 1e-13
    assert (table.classes.sum(axis=1) == 0).all()


def test_class_counts_equal_enumeration() -> None:
    for groups in PATTERNS:
        total = sum(l * k for l, k in groups)
        counted = n_classes(groups)
        assert [len(list(classes(groups, M))) for M in range(-total, total + 1)] == list(counted)


def test_number_of_invariants_by_characters() -> None:
    """Distinct channels: the number of invariants is the multiplicity of L = 0 in the product representation."""
    for ls in combinations_with_replacement(range(4), 4):
        paths = {ls[0]: 1}
        for l in ls[1:]:
            new: dict[int, int] = {}
            for L, count in paths.items():
                for J in range(abs(L - l), L + l + 1):
                    new[J] = new.get(J, 0) + count
            paths = new
        expected = paths.get(0, 0) if sum(ls) % 2 == 0 else 0
        assert n_invariants(tuple((l, 1) for l in ls)) == expected


def test_order_three_is_the_3j_symbol() -> None:
    for ls in [(1, 1, 2), (2, 2, 2), (1, 2, 3), (2, 3, 3)]:
        table = invariants(tuple((l, 1) for l in ls))
        exact = np.array([wigner_3j(*ls, *row).value for row in table.classes.tolist()])
        assert abs(abs(table.rows[0] @ exact) - 1.0) < 1e-14


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (((1, 1), (1, 1)), {(-1, -1): 3**-0.5, (0, 0): 3**-0.5, (1, 1): 3**-0.5}),
        (((1, 2),), dict.fromkeys([(-1, -1), (0, 0), (1, 1)], 0.2**0.5)),
        (((2, 2),), dict.fromkeys([(m, m) for m in range(-2, 3)], -1 / 3)),
        (((2, 1), (2, 1)), dict.fromkeys([(m, m) for m in range(-2, 3)], 0.2**0.5)),
        (
            ((1, 2), (2, 1)),
            {
                (1, 1, 2): -0.261116,
                (-1, 1, -2): -0.522233,
                (-1, -1, 2): 0.261116,
                (0, 1, 1): -0.522233,
                (-1, 0, -1): -0.522233,
                (1, 1, 0): 0.150756,
                (-1, -1, 0): 0.150756,
                (0, 0, 0): -0.301511,
            },
        ),
        (
            ((1, 4),),
            {**dict.fromkeys([(m,) * 4 for m in (-1, 0, 1)], -0.174078)}
            | dict.fromkeys([(-1, -1, 0, 0), (-1, -1, 1, 1), (0, 0, 1, 1)], -0.348155),
        ),
    ],
)
def test_sample_coefficients_over_real_harmonics(groups, expected) -> None:
    """The values of the model reference, signs included: the gauge is that of ace-jax."""
    slots, ls = channels_of(groups)
    channels = [Channel(0, i + 1, l, (1.0,)) for i, l in enumerate(ls)]
    ((ms, coefficients),) = half_terms(groups)
    tuples, values = real_products(BasisFunction(slots, ms, coefficients), channels)
    offsets = real_offsets(channels)
    wanted = {
        tuple(sorted(offsets[s] + ls[s] + m for s, m in zip(slots, key, strict=True))): value
        for key, value in expected.items()
    }
    assert dict(zip(tuples, values, strict=True)) == pytest.approx(wanted, abs=6e-7)


@pytest.mark.parametrize("groups", PATTERNS)
def test_real_form_equals_complex_form(groups) -> None:
    """Re of the complex terms is the same number as the polynomial in real A functions."""
    stream = np.random.Generator(np.random.Philox(7))
    slots, ls = channels_of(groups)
    channels = [Channel(0, i + 1, l, (1.0,)) for i, l in enumerate(ls)]
    vectors, radial = stream.standard_normal((9, 3)), stream.standard_normal((len(ls), 9))
    table = real_harmonics(max(ls), vectors)
    real_a = np.array([(radial[i] * table[l, m]).sum() for i, l in enumerate(ls) for m in range(-l, l + 1)])
    for ms, coefficients in half_terms(groups):
        tuples, values = real_products(BasisFunction(slots, ms, coefficients), channels)
        terms = np.array([values[k] * math.prod(real_a[list(key)]) for k, key in enumerate(tuples)])
        direct = evaluate_complex(ms, coefficients, slots, ls, radial, vectors)
        assert abs(terms.sum() - direct) < 1e-13 * np.abs(terms).sum()


@pytest.mark.parametrize("improper", [False, True])
@pytest.mark.parametrize("groups", PATTERNS)
def test_every_row_is_invariant(groups, improper: bool) -> None:
    """Rotations and reflections of the neighbourhood leave each row unchanged, relative to its size."""
    stream = np.random.Generator(np.random.Philox(11))
    slots, ls = channels_of(groups)
    vectors, radial = stream.standard_normal((9, 3)), stream.standard_normal((len(ls), 9))
    turned = vectors @ random_rotation(stream, improper).T
    scale = math.prod(np.linalg.norm(radial[s]) * 2.0 for s in slots)
    for ms, coefficients in half_terms(groups):
        before = evaluate_complex(ms, coefficients, slots, ls, radial, vectors)
        after = evaluate_complex(ms, coefficients, slots, ls, radial, turned)
        assert abs(before - after) < 1e-12 * max(scale, 1.0)


def test_rows_are_independent_on_random_neighbourhoods(tmp_path: Path) -> None:
    """The matrix of B rows over random neighbourhoods has full rank (order 4, two species)."""
    path = tmp_path / "model.yaml"
    path.write_text("elements: [Si, Ge]\norder: 4\ndegree: 6\ncutoff: 5\n")
    centre = enumerate_potential(read_spec(path)).centres[0]
    ls = [channel.l for channel in centre.channels]
    offsets = real_offsets(centre.channels)
    stream = np.random.Generator(np.random.Philox(5))
    samples = []
    for _ in range(2 * len(centre.functions)):
        vectors, radial = stream.standard_normal((12, 3)), stream.standard_normal((len(ls), 12))
        table = real_harmonics(max(ls), vectors)
        samples.append([(radial[i] * table[l, m]).sum() for i, l in enumerate(ls) for m in range(-l, l + 1)])
    a = np.array(samples)
    assert a.shape[1] == offsets[-1]
    columns = []
    for function in centre.functions:
        tuples, values = real_products(function, centre.channels)
        columns.append(a[:, np.array(tuples)].prod(axis=2) @ values)
    matrix = np.array(columns).T
    matrix /= np.linalg.norm(matrix, axis=0)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert singular[-1] > 1e-5
