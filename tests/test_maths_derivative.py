"""Forward mode over a Section: the right slopes, no function evaluated twice, nothing dead, no name taken twice."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from exact_section import exact_slopes

from acegen.maths.derivative import differentiate, evaluate, prune
from acegen.maths.section import Assign, Section

x, a, p = sympy.symbols("x a p")
s, c, e, w, i, t, u, f, g = sympy.symbols("s c e w i t u f g")


def section(*body: tuple[sympy.Symbol, sympy.Expr], outputs: tuple[sympy.Symbol, ...]) -> Section:
    return Section("test", (), (x,), (a, p), tuple(Assign(*line) for line in body), outputs)


EVERYTHING = section(
    (s, sympy.sin(a * x)),
    (c, sympy.cos(a * x)),
    (e, sympy.exp(-a * x)),
    (i, 1 / x),
    (w, x**p),
    (t, sympy.Max(x - a, 0)),
    (u, sympy.Min(sympy.sqrt(x), 1)),
    (f, s * c * e + i**3 + w * t**2 + u),
    (g, sympy.Piecewise((f * i, x < a), (f + 2 * x, True))),
    outputs=(f, g),
)


@pytest.mark.parametrize("at", [0.3, 0.9, 1.7, 2.5])
def test_slopes_of_every_rule_match_differences_in_60_digits(at: float) -> None:
    values = {"x": at, "a": 1.3, "p": 2.4}
    found = evaluate(differentiate(EVERYTHING, x), values)
    for name, slope in exact_slopes(EVERYTHING, values, "x").items():
        assert found[f"d{name}"] == pytest.approx(slope, rel=1e-13)


def test_named_functions_are_not_evaluated_again() -> None:
    body = differentiate(EVERYTHING, x).body
    for function in (sympy.sin, sympy.cos, sympy.exp):
        assert sum(len(line.value.atoms(function)) for line in body) == 1
    inverses = [node for line in body for node in line.value.atoms(sympy.Pow) if node.exp.is_Integer and node.exp < 0]
    assert inverses == [1 / x]


def test_statements_come_after_what_they_use() -> None:
    derived = differentiate(EVERYTHING, x)
    known = {*derived.inputs, *derived.constants}
    for line in derived.body:
        assert line.value.free_symbols <= known
        known.add(line.target)


def test_dead_statements_are_dropped() -> None:
    pruned = prune(section((s, sympy.sin(x)), (c, sympy.cos(x)), (f, 2 * s), outputs=(f,)))
    assert [line.target for line in pruned.body] == [s, f]


def test_outputs_that_stand_still_have_slope_zero() -> None:
    derived = differentiate(section((f, a * p), outputs=(f,)), x)
    assert evaluate(derived, {"x": 1.0, "a": 2.0, "p": 3.0}) == {"f": 6.0, "df": 0.0}


def test_carried_inputs_bring_their_slopes() -> None:
    column = sympy.Symbol("S_1")
    product = Section("test", (), (x, column), (), (Assign(f, x * column),), (f,))
    derived = differentiate(product, x, carried=(column,))
    assert [symbol.name for symbol in derived.inputs] == ["x", "S_1", "dS_1"]
    assert evaluate(derived, {"x": 2.0, "S_1": 3.0, "dS_1": 5.0})["df"] == 13.0


def test_known_slopes_replace_the_chain_rule() -> None:
    derived = differentiate(section((w, x**p), (f, a * w), outputs=(f,)), x, known={w: p * w / x})
    assert evaluate(derived, {"x": 2.0, "a": 3.0, "p": 3.0})["df"] == 36.0


def test_a_name_is_not_taken_twice() -> None:
    with pytest.raises(ValueError, match="'df' is already a name"):
        differentiate(section((sympy.Symbol("df"), x), (f, x**2), outputs=(f,)), x)


def test_missing_values_are_named() -> None:
    with pytest.raises(ValueError, match="no value for a, p"):
        evaluate(EVERYTHING, {"x": np.ones(3)})
