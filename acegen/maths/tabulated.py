"""Replace the formula of a radial family by a piecewise polynomial table with a measured error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from acegen.errors import PotentialError
from acegen.maths.codes import RadialCode
from acegen.maths.derivative import differentiate
from acegen.maths.evaluation import evaluate
from acegen.maths.family import Sized
from acegen.maths.radial import radial_breakpoints, radial_code, radial_derivative
from acegen.maths.tables import Segment, Table

Evaluator = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
MOST_BINS = 20000  # of one segment: beyond, the tolerance is below rounding or the function is not smooth
CHECKS_PER_BIN = 15  # points of each bin at which the error is measured, ends included


@dataclass(frozen=True, slots=True)
class _TableFamily:
    """The family that stands for a table."""

    size: int
    kind: str = "table"
    options: tuple[tuple[str, object], ...] = ()
    parameters: tuple[tuple[str, float | tuple[float, ...]], ...] = ()


def radial_values(code: RadialCode, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run a RadialCode with its table: values and slopes [n, size] at distances r [n]."""
    values: dict[str, np.ndarray | float] = {"r": r}
    values.update({constant.symbol.name: constant.value for constant in code.constants})
    if code.table is not None:
        argument, chain = r, np.ones_like(r)
        if code.head is not None:
            given = {constant.symbol.name: constant.value for constant in code.head_constants}
            found = evaluate(differentiate(code.head, code.head.inputs[0], known=dict(code.slopes)), {"r": r, **given})
            argument, chain = found["x"], found["dx"]
            values.update({"x": argument, "dx": chain})
        columns, slopes = code.table.evaluate(argument)
        for k in range(code.table.size):
            values[f"S_{k + 1}"], values[f"dS_{k + 1}"] = columns[:, k], slopes[:, k] * chain
    section = radial_derivative(code)
    found = evaluate(section, values)
    names = [output.name for output in section.outputs]
    half = len(names) // 2
    return (
        np.stack([found[name] for name in names[:half]], axis=1),
        np.stack([found[name] for name in names[half:]], axis=1),
    )


def tabulated_code(family: Sized, tolerance: float, degree: int = 5, start: float = 2.0**-10) -> RadialCode:
    """The same primitives from a table in r.

    Args:
        family: any kind with a cutoff.
        tolerance: see `certified_table`.
        degree: of the polynomials, odd or even, >= 3.
        start: first distance of the table, angstrom; below it the primitives keep their value there.

    Returns:
        RadialCode of kind "table"; `table.error` states the measured error.
    """
    code = radial_code(family)
    points = radial_breakpoints(family, start)
    table = certified_table(lambda r: radial_values(code, r), points, family.size, tolerance, degree)
    return radial_code(_TableFamily(family.size), table)


def certified_table(
    evaluator: Evaluator, breakpoints: tuple[float, ...], size: int, tolerance: float, degree: int = 5
) -> Table:
    """Piecewise polynomials that follow a function and its slope to a tolerance.

    Each bin matches value and slope at its ends (so the table is C1) and values at degree - 3 points inside.

    Args:
        evaluator: x [n] -> values, slopes, each [n, size]; smooth between breakpoints.
        breakpoints: increasing; bins do not straddle them.
        size: number of functions.
        tolerance: bound of |deviation|/max(1, |f|) of values and |deviation|/max(1, |f'|) of slopes (per
            angstrom), measured at CHECKS_PER_BIN points of every bin.
        degree: >= 3.

    Raises:
        PotentialError: the tolerance needs more than MOST_BINS bins between two breakpoints.
    """
    if degree < 3 or tolerance <= 0 or len(breakpoints) < 2:
        raise ValueError(
            f"certified_table: degree {degree}, tolerance {tolerance}, {len(breakpoints)} breakpoints; "
            "expected degree >= 3, tolerance > 0 and at least 2 breakpoints"
        )
    segments: list[Segment] = []
    pieces: list[np.ndarray] = []
    error, first = 0.0, 0
    for low, high in pairwise(breakpoints):
        bins, coefficients, reached = _fewest_bins(evaluator, low, high, tolerance, degree)
        segments.append((low, bins / (high - low), bins, first))
        pieces.append(coefficients)
        error, first = max(error, reached), first + bins
    return Table(tuple(segments), degree, np.concatenate(pieces), error)


def _fewest_bins(
    evaluator: Evaluator, low: float, high: float, tolerance: float, degree: int
) -> tuple[int, np.ndarray, float]:
    """Smallest number of equal bins (within 5 %) of one segment that meets the tolerance."""
    failed, bins = 0, 2
    while True:
        coefficients, error = _fit(evaluator, low, high, bins, degree)
        if error <= tolerance:
            break
        failed = bins
        growth = min(4.0, max(1.1, 1.05 * (error / tolerance) ** (1.0 / degree)))
        bins = int(np.ceil(bins * growth)) + 1
        if bins > MOST_BINS:
            raise PotentialError(
                f"radial table: error {error:.1e} with {failed} bins between {low} and {high} angstrom, "
                f"expected <= {tolerance:.1e}; raise the tolerance"
            )
    while bins - failed > max(1, bins // 20):
        middle = (bins + failed) // 2
        trial, reached = _fit(evaluator, low, high, middle, degree)
        if reached <= tolerance:
            bins, coefficients, error = middle, trial, reached
        else:
            failed = middle
    return bins, coefficients, error


def _fit(evaluator: Evaluator, low: float, high: float, bins: int, degree: int) -> tuple[np.ndarray, float]:
    """Coefficients [bins, degree+1, size] of one segment and their largest error."""
    # long double: slopes divide by the bin width, which would lift the rounding of the values above the tolerance
    ends = np.array([low, high], dtype=np.longdouble)
    width = (ends[1] - ends[0]) / bins
    inner = _inner_points(degree)
    edges = ends[0] + width * np.arange(bins + 1)
    edges[0], edges[-1] = np.nextafter(ends[0], ends[1]), np.nextafter(ends[1], ends[0])  # one-sided at breakpoints
    value, slope = evaluator(edges)
    data = np.empty((bins, degree + 1, value.shape[1]), dtype=np.longdouble)
    data[:, 0], data[:, 1] = value[:-1], value[1:]
    data[:, 2], data[:, 3] = slope[:-1] * width, slope[1:] * width
    if len(inner):
        inside = ends[0] + width * (np.arange(bins)[:, None] + inner)
        data[:, 4:] = evaluator(inside.ravel())[0].reshape(bins, len(inner), -1)
    coefficients = np.einsum("dc,bcs->bds", _solution(degree), data).astype(float)
    segment = Table(((low, bins / (high - low), bins, 0),), degree, coefficients, 0.0)
    x = low + (high - low) / bins * (np.arange(bins)[:, None] + np.linspace(0, 1, CHECKS_PER_BIN)).ravel()
    x = np.clip(x, np.nextafter(low, high), np.nextafter(high, low))
    error = 0.0
    for exact, found in zip(evaluator(x.astype(np.longdouble)), segment.evaluate(x), strict=True):
        error = max(error, float(np.max(np.abs(exact - found) / np.maximum(1.0, np.abs(exact)))))
    return coefficients, error


@lru_cache
def _solution(degree: int) -> np.ndarray:
    """The matrix from (f(0), f(1), f'(0), f'(1), f(inner)) to the coefficients, in long double."""
    inner = _inner_points(degree)
    powers = np.arange(degree + 1)
    rows = np.zeros((degree + 1, degree + 1), dtype=np.longdouble)
    rows[0, 0] = rows[2, 1] = 1.0
    rows[1], rows[3] = 1.0, powers
    rows[4:] = inner[:, None] ** powers
    inverse = np.linalg.inv(rows.astype(float)).astype(np.longdouble)
    for _ in range(3):  # Newton: squares the residual each time
        inverse = inverse @ (2 * np.eye(degree + 1) - rows @ inverse)
    return inverse


def _inner_points(degree: int) -> np.ndarray:
    """Zeros of the Gegenbauer polynomial C^(4) on [0, 1]: nearly the smallest t^2 (1-t)^2 prod (t - t_i)."""
    count = degree - 3
    n = np.arange(1, count)
    off = np.sqrt(n * (n + 7.0) / (4.0 * (n + 4.0) * (n + 3.0)))
    return 0.5 + 0.5 * np.sort(np.linalg.eigvalsh(np.diag(off, 1) + np.diag(off, -1)))
