"""What the formula builders hand over: a Section shared by all bonds of a kind, plus the numbers of one bond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mpmath
import sympy

from acegen.maths.section import Assign, Constant, Section

if TYPE_CHECKING:
    from acegen.maths.tables import Table

DIGITS = 50  # working precision of derived constants before they are rounded to double


@dataclass(frozen=True, slots=True)
class ScalarCode:
    """A Section and the values of its constants, in the order of `section.constants`."""

    section: Section
    constants: tuple[Constant, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RadialCode:
    """Radial functions of one bond.

    Without a table `section` takes (r,).  With a table it takes (r, [x,] S_1..S_n), S the table columns: of the
    argument x that `head` computes from r, or of r itself where there is no head.
    """

    section: Section
    constants: tuple[Constant, ...]  # values of section.constants, same order
    head: Section | None = None  # r -> x
    head_constants: tuple[Constant, ...] = ()  # values of head.constants, same order
    table: Table | None = None
    slopes: tuple[tuple[sympy.Symbol, sympy.Expr], ...] = ()  # of named quantities, where a formula is cheaper


class Draft:
    """Collects named constants and statements; the only mutable object of this package, it never leaves a builder."""

    def __init__(self) -> None:
        self.body: list[Assign] = []
        self.constants: list[Constant] = []
        self.slopes: dict[sympy.Symbol, sympy.Expr] = {}  # formulas that replace the chain rule

    def constant(self, name: str, value: object, formula: str = "") -> sympy.Symbol:
        """Name a number of the bond; `value` may be an mpmath number, it is rounded to double once, here."""
        symbol = sympy.Symbol(name)
        self.constants.append(Constant(symbol, float(mpmath.mpf(value)), formula or name))
        return symbol

    def name(self, name: str, value: sympy.Expr, comment: str = "") -> sympy.Symbol:
        """Append `name = value` and return the symbol."""
        symbol = sympy.Symbol(name)
        self.body.append(Assign(symbol, sympy.sympify(value), comment))
        return symbol

    def section(
        self,
        title: str,
        formula: tuple[str, ...],
        inputs: tuple[sympy.Symbol, ...],
        outputs: tuple[sympy.Symbol, ...],
    ) -> Section:
        """Freeze what was collected."""
        symbols = tuple(constant.symbol for constant in self.constants)
        return Section(title, formula, inputs, symbols, tuple(self.body), outputs)
