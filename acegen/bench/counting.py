"""Operations of formulas: vector instructions a compiler cannot avoid, multiply-adds counted once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from acegen.maths.section import Section

# Issue slots of a multiply-add that the slow instructions take (two multiply-adds start in each cycle of a core).
DIVISION, ROOT, TRANSCENDENTAL = 10, 16, 24
_SLOW = {"exp": TRANSCENDENTAL, "log": TRANSCENDENTAL, "sin": TRANSCENDENTAL, "cos": TRANSCENDENTAL}


def section_operations(section: Section | None) -> int:
    """Operations of all statements of a derivation; 0 without one."""
    return 0 if section is None else sum(expression_operations(one.value) for one in section.body)


def expression_operations(value: Any) -> int:
    """Operations of one SymPy expression; products that are summands count together with their addition."""
    if not value.args:
        return 0
    inside = sum(expression_operations(argument) for argument in value.args)
    if value.is_Add:
        products = sum(1 for argument in value.args if argument.is_Mul and _factors(argument.args) > 1)
        additions = len(value.args) - 1
        return inside + additions - min(additions, products)
    if value.is_Mul:
        return inside + max(0, _factors(value.args) - 1)
    if value.is_Pow:
        return inside + _power(value.args[1])
    return inside + _SLOW.get(value.func.__name__, len(value.args) - 1 or 1)


def _factors(arguments: Iterable[Any]) -> int:
    """Factors of a product that need a multiplication: a sign does not."""
    return sum(1 for argument in arguments if argument != -1)


def _power(exponent: Any) -> int:
    if exponent.is_Integer:
        whole = abs(int(exponent))
        squarings = whole.bit_length() - 1 + whole.bit_count() - 1
        return squarings + (DIVISION if exponent < 0 else 0)
    if exponent.is_Rational and exponent.q == 2:
        return ROOT + (DIVISION if exponent < 0 else 0)
    return 2 * TRANSCENDENTAL
