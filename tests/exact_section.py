"""A Section in 60-digit arithmetic: an evaluation that shares nothing with the NumPy one but the Section itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import mpmath
import sympy

from acegen.maths.section import Constant, Section


@lru_cache
def _steps(section: Section) -> tuple[tuple[str, tuple[str, ...], Callable[..., object]], ...]:
    """(target, arguments, function) of every statement."""
    steps = []
    for line in section.body:
        symbols = sorted(line.value.free_symbols, key=str)
        names = tuple(symbol.name for symbol in symbols)
        steps.append((line.target.name, names, sympy.lambdify(symbols, line.value, "mpmath")))
    return tuple(steps)


def exact(section: Section, values: dict[str, object]) -> dict[str, mpmath.mpf]:
    """Outputs of a section at one point; values by name (inputs and constants)."""
    with mpmath.workdps(60):
        known = {name: mpmath.mpf(value) for name, value in values.items()}
        for target, names, run in _steps(section):
            known[target] = mpmath.mpf(run(*(known[name] for name in names)))
        return {output.name: known[output.name] for output in section.outputs}


def exact_slopes(section: Section, values: dict[str, object], variable: str = "r") -> dict[str, float]:
    """d(outputs)/d(variable) by central differences with a step of 1e-20 in 60 digits."""
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -20
        ahead = exact(section, {**values, variable: mpmath.mpf(values[variable]) + step})
        behind = exact(section, {**values, variable: mpmath.mpf(values[variable]) - step})
        return {name: float((ahead[name] - behind[name]) / (2 * step)) for name in ahead}


def by_name(constants: tuple[Constant, ...]) -> dict[str, object]:
    """Values of constants by symbol name."""
    return {constant.symbol.name: constant.value for constant in constants}
