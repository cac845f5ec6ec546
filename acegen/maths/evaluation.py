"""Execute a Section with NumPy: for tests, for table building and as the reading of what a Section means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from sympy.printing.pycode import PythonCodePrinter

from acegen.maths.section import Section


class _NumpyPrinter(PythonCodePrinter):  # type: ignore[misc]
    """Expressions as NumPy code; selections evaluate both branches, as the lanes of a kernel do."""

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        *branches, (last, _) = expr.args
        text = self._print(last)
        for value, condition in reversed(branches):
            text = f"numpy.where({self._print(condition)}, {self._print(value)}, {text})"
        return str(text)

    def _print_Max(self, expr: sympy.Expr) -> str:
        first, second = expr.args
        return f"numpy.maximum({self._print(first)}, {self._print(second)})"

    def _print_Min(self, expr: sympy.Expr) -> str:
        first, second = expr.args
        return f"numpy.minimum({self._print(first)}, {self._print(second)})"

    def _print_Relational(self, expr: sympy.Expr) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_And(self, expr: sympy.Expr) -> str:
        parts = sorted((self._print(part) for part in expr.args), key=str)
        return "(" + " & ".join(parts) + ")"

    def _print_exp(self, expr: sympy.Expr) -> str:
        return f"numpy.exp({self._print(expr.args[0])})"

    def _print_sin(self, expr: sympy.Expr) -> str:
        return f"numpy.sin({self._print(expr.args[0])})"

    def _print_cos(self, expr: sympy.Expr) -> str:
        return f"numpy.cos({self._print(expr.args[0])})"

    def _print_Rational(self, expr: sympy.Rational) -> str:
        return repr(float(expr))

    def _print_Mul(self, expr: sympy.Expr) -> str:
        number, rest = _split(expr)
        factors = [] if number == 1 else [repr(float(number))]
        factors += [f"({self._print(factor)})" for factor in rest]
        return "*".join(factors) if factors else "1.0"

    def _print_Pow(self, expr: sympy.Expr, rational: bool = False) -> str:
        if expr.is_number:
            return repr(float(expr))
        if expr.exp == sympy.Rational(1, 2):
            return f"numpy.sqrt({self._print(expr.base)})"
        base = f"({self._print(expr.base)})"
        if expr.exp.is_Integer and 0 < abs(expr.exp) <= 8:  # products: what the kernels do, and exact for squares
            product = "*".join([base] * abs(int(expr.exp)))
            return f"({product})" if expr.exp > 0 else f"(1.0/({product}))"
        return f"numpy.power({base}, {self._print(expr.exp)})"


def _split(expr: sympy.Expr) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """The numeric part of a product as one number, and the other factors."""
    numbers = [factor for factor in expr.args if factor.is_number]
    return sympy.Mul(*numbers), [factor for factor in expr.args if not factor.is_number]


@lru_cache(maxsize=256)
def _compiled(section: Section) -> Callable[..., dict[str, Any]]:
    """The section as a Python function of its inputs and constants."""
    printer = _NumpyPrinter({"fully_qualified_modules": False})
    arguments = ", ".join(symbol.name for symbol in section.inputs + section.constants)
    lines = [f"def run({arguments}):"]
    for statement in section.body:
        value = statement.value
        text = repr(float(value)) if value.is_number else printer.doprint(value)
        lines.append(f"    {statement.target.name} = {text}")
    lines.append("    return {" + ", ".join(f"{o.name!r}: {o.name}" for o in section.outputs) + "}")
    namespace: dict[str, Any] = {"numpy": np}
    exec("\n".join(lines), namespace)
    run: Callable[..., dict[str, Any]] = namespace["run"]
    return run


def evaluate(section: Section, values: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray]:
    """Outputs of a Section in double precision, or in the longer one of the given arrays.

    Args:
        section: what to run.
        values: every input and constant by name; arrays of one common shape, or numbers.

    Returns:
        Outputs by name, each of the common shape of the arrays.
    """
    missing = [symbol.name for symbol in section.inputs + section.constants if symbol.name not in values]
    if missing:
        raise ValueError(f"section '{section.title}': no value for {', '.join(missing)}")
    given = {symbol.name: values[symbol.name] for symbol in section.inputs + section.constants}
    shape = np.broadcast_shapes(*(np.shape(value) for value in given.values())) if given else ()
    dtype = np.result_type(float, *given.values())
    return {name: np.broadcast_to(value, shape).astype(dtype) for name, value in _compiled(section)(**given).items()}
