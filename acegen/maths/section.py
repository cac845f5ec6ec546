"""A Section is a short straight-line derivation: named SymPy assignments from inputs to outputs.

It is what `maths` hands to the code generator: templates print it, `differentiate` pushes d/dr through it.
Only scalar expressions of previously named symbols; parameters are symbols too, so that one printed
function serves every bond with the same formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy


@dataclass(frozen=True, slots=True)
class Assign:
    """target = value (one C statement); `comment` is the formula for the reader of the kernel."""

    target: sympy.Symbol
    value: sympy.Expr
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """A named number of a Section: a parameter of the bond or something derived from parameters only."""

    symbol: sympy.Symbol
    value: float
    formula: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """title and formula head the generated code; outputs are computed by body from inputs and constants."""

    title: str
    formula: tuple[str, ...]  # lines of the comment over the function
    inputs: tuple[sympy.Symbol, ...]
    constants: tuple[sympy.Symbol, ...]  # free parameters, in the order of the table row
    body: tuple[Assign, ...]
    outputs: tuple[sympy.Symbol, ...]
