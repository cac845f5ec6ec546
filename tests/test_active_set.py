"""Active sets: what `active_set` chooses, against all other choices, and the grade that follows from it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from acegen.errors import InputError
from acegen.uncertainty import active_set, extrapolation_grade
from acegen.uncertainty.asi import checked_inverse

TOLERANCE = 0.01


def basis_like(n_rows: int, n_functions: int, seed: int = 1) -> np.ndarray:
    """Smooth functions of a few variables whose sizes differ by many orders of magnitude."""
    stream = np.random.default_rng(seed)
    places, waves = stream.normal(size=(n_rows, 4)), stream.normal(size=(4, n_functions))
    sizes = np.exp(stream.uniform(-12.0, 2.0, n_functions))
    return np.cos(0.6 * places @ waves + stream.normal(size=n_functions)) * sizes


def volumes(rows: np.ndarray) -> dict[tuple[int, ...], float]:
    """|det| of every choice of as many rows as there are columns."""
    choices = itertools.combinations(range(len(rows)), rows.shape[1])
    return {choice: abs(np.linalg.det(rows[list(choice)])) for choice in choices}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_functions", [1, 2, 3])
def test_no_swap_gains_volume_and_the_best_is_near(seed: int, n_functions: int) -> None:
    """Brute force over all subsets: none that differs in one row is larger, none at all larger than theory allows."""
    rows = basis_like(12, n_functions, seed)
    found = active_set(rows, TOLERANCE)
    every = volumes(rows)
    mine = every[tuple(sorted(found.picked))]
    for choice, volume in every.items():
        if len(set(choice) - set(found.picked)) == 1:
            assert volume <= mine * (1.0 + TOLERANCE) * (1.0 + 1e-9)
    # Hadamard: |det C| of any n rows is at most the product of their lengths, entries being 1 + tolerance at most
    assert max(every.values()) <= mine * (n_functions**0.5 * (1.0 + TOLERANCE)) ** n_functions


def test_every_row_of_the_data_has_a_grade_of_one_at_most() -> None:
    """Up to the tolerance; the active rows themselves have exactly one, and outside rows more."""
    rows = basis_like(600, 40)
    found = active_set(rows, TOLERANCE)
    grades = extrapolation_grade(rows, found.inverse)
    assert grades.max() <= 1.0 + TOLERANCE and abs(found.largest - grades.max()) < 1e-9
    assert (found.picked >= 0).all() and len(set(found.picked)) == 40
    np.testing.assert_allclose(rows[found.picked] @ found.inverse, np.eye(40), atol=1e-6)
    np.testing.assert_allclose(extrapolation_grade(3.0 * rows, found.inverse), 3.0 * grades, rtol=1e-12)


def test_hundreds_of_swaps_leave_an_exact_inverse() -> None:
    """Blocks of rows that grow from the first to the last: nearly all active rows are swapped, many several times."""
    rows = basis_like(3000, 80) * np.geomspace(1.0, 1e6, 3000)[:, None]
    found = active_set(lambda: np.array_split(rows, 6), TOLERANCE)
    assert (found.picked > 2000).all()
    sizes = np.abs(found.inverse).max(axis=1, keepdims=True)
    assert np.abs((found.inverse - np.linalg.inv(rows[found.picked])) / sizes).max() < 1e-6
    assert extrapolation_grade(rows, found.inverse).max() <= 1.0 + TOLERANCE + 1e-9


def test_grade_is_the_largest_coefficient_in_active_rows() -> None:
    """By definition, row by row; also of no rows at all."""
    rows = basis_like(50, 7)
    inverse = np.linalg.inv(basis_like(7, 7, 3))
    expected = [max(abs(sum(row[b] * inverse[b, k] for b in range(7))) for k in range(7)) for row in rows]
    np.testing.assert_allclose(extrapolation_grade(rows, inverse), expected, rtol=1e-9)
    assert extrapolation_grade(rows[:0], inverse).shape == (0,)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_streamed_blocks_give_as_good_a_set(block: int) -> None:
    """Whatever the blocks, the numbers of the active rows count through the stream."""
    rows = basis_like(400, 15)
    passes = []

    def stream():
        passes.append(len(passes))
        return (rows[k : k + block] for k in range(0, len(rows), block))

    found = active_set(stream, TOLERANCE)
    assert extrapolation_grade(rows, found.inverse).max() <= 1.0 + TOLERANCE
    np.testing.assert_allclose(rows[found.picked] @ found.inverse, np.eye(15), atol=1e-6)
    assert 2 <= len(passes) <= 20


def test_memory_of_blocks_may_be_used_again() -> None:
    """A stream that writes every block in the same memory gives the set of the whole."""
    rows = basis_like(300, 10)
    memory = np.empty((50, 10))

    def stream():
        for k in range(0, 300, 50):
            memory[:] = rows[k : k + 50]
            yield memory

    found = active_set(stream)
    np.testing.assert_allclose(rows[found.picked] @ found.inverse, np.eye(10), atol=1e-6)


def test_directions_without_data_are_told_by_huge_grades() -> None:
    """Fewer rows than functions, a function that is always zero, two that are proportional: artificial rows."""
    rows = basis_like(30, 8)
    rows[:, 3] = 0.0
    rows[:, 5] = 2.0 * rows[:, 4]
    found = active_set(rows)
    assert (found.picked < 0).sum() == 2
    assert extrapolation_grade(rows, found.inverse).max() <= 1.01
    for column in (3, 5):
        beyond = rows[:1].copy()
        beyond[0, column] += np.abs(rows).max()
        assert extrapolation_grade(beyond, found.inverse)[0] > 1e5
    few = active_set(rows[:3])
    assert (few.picked < 0).sum() == 5 and few.largest <= 1.01


def test_the_same_rows_give_the_same_set() -> None:
    rows = basis_like(200, 12)
    one, other = active_set(rows), active_set(rows.copy())
    assert np.array_equal(one.inverse, other.inverse) and np.array_equal(one.picked, other.picked)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 3)), "rows: expected the basis of at least one atom, found none"),
        (np.zeros(3), "rows: expected numbers [n_rows, n_functions], found float64 [3]"),
        (np.full((2, 2), np.nan), "rows: expected finite numbers, found others in row 0 of a block"),
        (lambda: iter([np.ones((1, 2)), np.ones((1, 3))]), "rows: expected numbers [n_rows, 2], found float64 [1, 3]"),
    ],
)
def test_wrong_rows_get_one_sentence(rows: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        active_set(rows)
    assert str(caught.value) == message


def test_tolerance_is_positive() -> None:
    with pytest.raises(InputError, match="tolerance: expected a positive number, found 0"):
        active_set(np.eye(2), 0.0)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 2.0, 0.0])[:, [2, 0, 1]]])
def test_singular_matrices_are_no_active_sets(matrix: np.ndarray) -> None:
    """Where an active row never counts, grades would be too small."""
    with pytest.raises(InputError, match="x: expected the inverse of a matrix, found a singular matrix"):
        checked_inverse("x", matrix)


def test_pseudo_inverses_and_ill_conditioned_sets_pass() -> None:
    """Functions that are zero in all data, and sizes of functions many orders of magnitude apart."""
    rows = basis_like(3, 3)
    rows[:, 1] = 0.0
    for matrix in (np.linalg.pinv(rows), np.diag([1e-150, 1.0, 1e150])):
        np.testing.assert_array_equal(checked_inverse("x", matrix), matrix)
