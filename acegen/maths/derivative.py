"""Forward-mode differentiation, pruning and numerical evaluation of a Section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from acegen.maths.evaluation import evaluate
from acegen.maths.section import Assign, Section

__all__ = ["differentiate", "evaluate", "in_order", "prune"]

_ZERO = sympy.Integer(0)


def differentiate(
    section: Section,
    variable: sympy.Symbol,
    prefix: str = "d",
    carried: Sequence[sympy.Symbol] = (),
    known: Mapping[sympy.Symbol, sympy.Expr] | None = None,
) -> Section:
    """Push d/d(variable) through a Section.

    Args:
        section: the function; its constants and its other inputs are held fixed.
        variable: the input that moves.
        prefix: the derivative of `g` is named prefix + "g".
        carried: inputs that depend on the variable; their derivatives become further inputs, after the old ones.
        known: derivatives of named quantities given by hand (expressions of named quantities), where a
            formula is cheaper or safer than the chain rule.

    Returns:
        A Section whose outputs are the old outputs followed by their derivatives.  Functions that the body has
        already named (exp, sin and cos of the same argument, powers, 1/x) are referenced, not evaluated again.
    """
    chain = _Chain(section, variable, prefix, carried, known or {})
    body = chain.statements()
    outputs = section.outputs + tuple(sympy.Symbol(prefix + output.name) for output in section.outputs)
    inputs = section.inputs + tuple(sympy.Symbol(prefix + symbol.name) for symbol in carried)
    formula = (*section.formula, f"{prefix}... = d/d{variable.name}")
    return prune(Section(section.title, formula, inputs, section.constants, tuple(body), outputs))


def prune(section: Section) -> Section:
    """Drop the statements that no output needs (inputs and constants stay: callers rely on their order)."""
    needed = set(section.outputs)
    kept: list[Assign] = []
    for statement in reversed(section.body):
        if statement.target in needed:
            kept.append(statement)
            needed |= statement.value.free_symbols
    return Section(
        section.title, section.formula, section.inputs, section.constants, tuple(reversed(kept)), section.outputs
    )


def in_order(section: Section, wanted: Sequence[sympy.Symbol]) -> Section:
    """The same statements, each one just before it is first needed on the way to `wanted`, one after another.

    Members of long recurrences are then consumed while they are still in registers.
    """
    position = {statement.target: q for q, statement in enumerate(section.body)}
    body: list[Assign] = []
    done: set[sympy.Symbol] = set()
    for output in wanted:
        stack = [output]
        needed: set[int] = set()
        while stack:
            symbol = stack.pop()
            if symbol in done or symbol not in position or position[symbol] in needed:
                continue
            needed.add(position[symbol])
            stack += section.body[position[symbol]].value.free_symbols
        body += [section.body[q] for q in sorted(needed)]
        done |= {section.body[q].target for q in needed}
    body += [statement for statement in section.body if statement.target not in done]
    return Section(section.title, section.formula, section.inputs, section.constants, tuple(body), section.outputs)


class _Chain:
    """The chain rule over straight-line code."""

    def __init__(
        self,
        section: Section,
        variable: sympy.Symbol,
        prefix: str,
        carried: Sequence[sympy.Symbol],
        known: Mapping[sympy.Symbol, sympy.Expr],
    ) -> None:
        self.section, self.prefix, self.known = section, prefix, known
        self.slopes: dict[sympy.Symbol, sympy.Expr] = {variable: sympy.Integer(1)}
        for symbol in carried:
            self.slopes[symbol] = sympy.Symbol(prefix + symbol.name)
        self.named = {
            statement.value: statement.target
            for statement in reversed(section.body)
            if not (statement.value.is_Symbol or statement.value.is_number)
        }
        self._refuse_clashes()

    def _refuse_clashes(self) -> None:
        """A derivative must not take the name of something that is already there."""
        taken = {*self.section.inputs, *self.section.constants, *(line.target for line in self.section.body)}
        for symbol in sorted(taken, key=str):
            if sympy.Symbol(self.prefix + symbol.name) in taken:
                raise ValueError(
                    f"section '{self.section.title}': '{self.prefix}{symbol.name}' is already a name, "
                    f"so the derivative of '{symbol.name}' cannot be called so"
                )

    def statements(self) -> list[Assign]:
        """Values and derivatives interleaved: a derivative follows as soon as all it refers to is known."""
        section = self.section
        defined = {*section.inputs, *section.constants, *self.slopes.values()}
        waiting: list[Assign] = []
        body: list[Assign] = []
        for statement in section.body:
            body.append(statement)
            defined.add(statement.target)
            waiting += self._slope(statement)
            remaining: list[Assign] = []
            for line in waiting:
                if line.value.free_symbols <= defined:
                    body.append(line)
                    defined.add(line.target)
                else:
                    remaining.append(line)
            waiting = remaining
        body += waiting
        bodied = {line.target for line in body}
        for output in section.outputs:  # an output may be an input, or not depend on the variable
            target = sympy.Symbol(self.prefix + output.name)
            if target not in bodied:
                body.append(Assign(target, self.slopes.get(output, _ZERO)))
        return body

    def _slope(self, statement: Assign) -> list[Assign]:
        """The derivative statement of one assignment; none where it is zero or too short to deserve a name."""
        target = statement.target
        slope = self.known[target] if target in self.known else self._total(statement.value)
        slope = self._with_names(slope)
        if slope == _ZERO:
            return []
        if target not in self.section.outputs and (slope.is_number or slope.is_Symbol or (-slope).is_Symbol):
            self.slopes[target] = slope
            return []
        symbol = sympy.Symbol(self.prefix + target.name)
        self.slopes[target] = symbol
        return [Assign(symbol, slope)]

    def _with_names(self, expr: sympy.Expr) -> sympy.Expr:
        """Refer to named subexpressions; 1/b^n becomes (1/b)^n where 1/b has a name."""

        def is_inverse(node: sympy.Basic) -> bool:
            return bool(node.is_Pow and node.exp.is_Integer and node.exp < -1 and 1 / node.base in self.named)

        expr = expr.replace(is_inverse, lambda node: self.named[1 / node.base] ** (-node.exp))
        return expr.xreplace(self.named)

    def _total(self, expr: sympy.Expr) -> sympy.Expr:
        """Total derivative of an expression of named quantities."""
        if expr.is_Symbol:
            return self.slopes.get(expr, _ZERO)
        if not any(symbol in self.slopes for symbol in expr.free_symbols):
            return _ZERO
        if expr.is_Add:
            return sympy.Add(*(self._total(term) for term in expr.args))
        if expr.is_Mul:
            return sympy.Add(
                *(
                    sympy.Mul(*expr.args[:i], slope, *expr.args[i + 1 :])
                    for i, factor in enumerate(expr.args)
                    if (slope := self._total(factor)) != _ZERO
                )
            )
        if isinstance(expr, sympy.Piecewise):
            return sympy.Piecewise(*((self._total(value), condition) for value, condition in expr.args))
        if isinstance(expr, sympy.Max | sympy.Min):
            return self._of_extremum(expr)
        return self._of_function(expr)

    def _of_extremum(self, expr: sympy.Expr) -> sympy.Expr:
        """Slope of the argument that wins; of the second one (usually the bound, slope 0) at a tie."""
        if len(expr.args) != 2:
            raise ValueError(f"section '{self.section.title}': {expr} has {len(expr.args)} arguments, expected 2")
        first, second = sorted(expr.args, key=lambda side: not (side.free_symbols & self.slopes.keys()))
        wins = first > second if isinstance(expr, sympy.Max) else first < second
        return sympy.Piecewise((self._total(first), wins), (self._total(second), True))

    def _of_function(self, expr: sympy.Expr) -> sympy.Expr:
        """Elementary functions of one moving argument."""
        if expr.is_Pow and not any(symbol in self.slopes for symbol in expr.exp.free_symbols):
            return expr.exp * expr.base ** (expr.exp - 1) * self._total(expr.base)
        if isinstance(expr, sympy.exp):
            return expr * self._total(expr.args[0])
        if isinstance(expr, sympy.sin):
            return sympy.cos(expr.args[0]) * self._total(expr.args[0])
        if isinstance(expr, sympy.cos):
            return -sympy.sin(expr.args[0]) * self._total(expr.args[0])
        raise ValueError(f"section '{self.section.title}': no derivative rule for {expr.func.__name__}")
