"""Operations of formulas: vector instructions a compiler cannot avoid, multiply-adds counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acegen.maths.section import Section

# Issue slots of a multiply-add that the slow instructions take (two multiply-adds start in each cycle of a core).
DIVISION, ROOT, TRANSCENDENTAL = 10, 16, 24
_SLOW = {"exp": TRANSCENDENTAL, "log": TRANSCENDENTAL, "sin": TRANSCENDENTAL, "cos": TRANSCENDENTAL}
_GIVEN = "rinv"  # 1/r comes with r


def section_operations(section: Section | None) -> int:
    """Operations of all statements of a derivation that differ from edge to edge; 0 without one."""
    if section is None:
        return 0
    varying = {symbol.name for symbol in section.inputs}
    total = 0
    for assign in section.body:
        if varying & {symbol.name for symbol in assign.value.free_symbols}:
            varying.add(assign.target.name)
            total += 0 if assign.target.name == _GIVEN else expression_operations(assign.value)
    return total


def expression_operations(value: Any) -> int:
    """Operations of one SymPy expression; products that are summands count together with their addition."""
    if not value.free_symbols:  # a number, whatever its formula
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
    return inside + (_SLOW.get(value.func.__name__, len(value.args) - 1 or 1) if value.args else 0)


def _factors(arguments: Sequence[Any]) -> int:
    """Factors of a product: all numbers are one, and a sign none."""
    numbers = [argument for argument in arguments if not argument.free_symbols]
    return len(arguments) - len(numbers) + (1 if any(number not in (1, -1) for number in numbers) else 0)


def _power(exponent: Any) -> int:
    if exponent.is_Integer:
        whole = abs(int(exponent))
        squarings = whole.bit_length() - 1 + whole.bit_count() - 1
        return squarings + (DIVISION if exponent < 0 else 0)
    if exponent.is_Rational and exponent.q == 2:
        return ROOT + (DIVISION if exponent < 0 else 0)
    return 2 * TRANSCENDENTAL
