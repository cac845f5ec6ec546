"""SymPy -> C: one expression, or a whole Section as straight-line single-assignment statements.

Two dialects: "lanes" (vector types of the kernel, functions vec_exp, vec_select, ...) and "double"
(plain C doubles and libm, for the per-atom embedding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy
from sympy.core.relational import Relational

from acegen.maths.section import Assign, Section

_FUNCTIONS = {
    "lanes": {"exp": "vec_exp", "sin": "vec_sin", "cos": "vec_cos", "sqrt": "vec_sqrt", "pow": "vec_pow",
              "Max": "vec_max", "Min": "vec_min", "Abs": "vec_abs", "keep": "vec_keep"},
    "double": {"exp": "exp", "sin": "sin", "cos": "cos", "sqrt": "sqrt", "pow": "pow",
               "Max": "fmax", "Min": "fmin", "Abs": "fabs"},
}  # fmt: skip


def number(value: float) -> str:
    """Shortest decimal that reads back to the same double, with a point or exponent."""
    text = repr(float(value))
    return text if any(c in text for c in ".en") else text + ".0"


def real(value: float) -> str:
    """A literal of the kernel's arithmetic type."""
    return f"REAL({number(value)})"


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints expressions; `lanes` names the symbols that are vectors (all others are scalars).

    `ready` says after how many dependent operations a symbol is known.  Terms and factors are printed in that
    order: C adds from left to right, so the one that is waited for is the last multiply-add and not the first.
    """

    dialect: str
    lanes: frozenset[str]
    ready: Mapping[str, int] = field(default_factory=dict)

    def wait(self, expression: sympy.Basic) -> int:
        """Dependent operations before the last symbol of an expression is known."""
        return max((self.ready.get(s.name, 0) for s in expression.free_symbols), default=0)

    def is_lane(self, expression: sympy.Basic) -> bool:
        """True when the value differs from lane to lane."""
        return self.dialect == "lanes" and any(s.name in self.lanes for s in expression.free_symbols)

    def literal(self, value: float) -> str:
        return real(value) if self.dialect == "lanes" else number(value)

    def __call__(self, expression: sympy.Expr, as_lane: bool = False) -> str:
        text = self._print(expression, 0)
        broadcast = as_lane and self.dialect == "lanes" and not self.is_lane(expression)
        return f"vec_of({text})" if broadcast else text

    def _print(self, e: sympy.Expr, level: int) -> str:
        """level: 0 sum allowed, 1 inside a product, 2 atom needed."""
        if e.is_Symbol:
            return str(e.name)
        if e.is_number:
            text = self.literal(float(e.evalf(30)))
            return f"({text})" if level and text.startswith("-") else text
        if e.is_Add:
            return self._sum(e, level)
        if e.is_Mul:
            return self._product(e, level)
        if e.is_Pow:
            return self._power(e, level)
        if isinstance(e, sympy.Piecewise):
            return self._select(e)
        if isinstance(e, sympy.Function | sympy.Max | sympy.Min):
            return self._call(type(e).__name__, e.args)
        raise TypeError(f"cannot print {e!r} as C")

    def _call(self, name: str, arguments: tuple[sympy.Expr, ...]) -> str:
        lane = any(self.is_lane(a) for a in arguments)
        if self.dialect == "lanes" and not lane:
            raise TypeError(f"{name} of parameters only: hand it over as a Constant")
        first, *rest = (self(a, as_lane=lane) for a in arguments)
        for other in rest:
            first = f"{_FUNCTIONS[self.dialect][name]}({first}, {other})"
        return first if rest else f"{_FUNCTIONS[self.dialect][name]}({first})"

    def _sum(self, e: sympy.Expr, level: int) -> str:
        terms = list(e.args)
        terms.sort(key=lambda t: (t.could_extract_minus_sign(), t.is_number))
        terms.sort(key=self.wait)
        # the product before a plain term is one multiply-add all the same, and reads better than a leading minus
        if not terms[1].could_extract_minus_sign() and _is_plain(terms[0]) and not _is_plain(terms[1]):
            terms[:2] = terms[1], terms[0]
        out = ""
        for term in terms:
            if out and term.could_extract_minus_sign():
                out += " - " + self._print(-term, 1)
            else:
                out += (" + " if out else "") + self._print(term, 1 if out else 0)
        return f"({out})" if level else out

    def _product(self, e: sympy.Expr, level: int) -> str:
        if e.could_extract_minus_sign():
            inner = self._print(-e, 1)
            return f"(-{inner})" if level else f"-{inner}"
        numbers = [factor for factor in e.args if factor.is_number]
        if len(numbers) > 1:  # one rounded constant instead of a product of several
            rest = [factor for factor in e.args if not factor.is_number]
            e = sympy.Mul(sympy.Float(sympy.Mul(*numbers).evalf(30), 30), *rest, evaluate=False)
        above, below = [], []
        for factor in e.args:
            if factor.is_Pow and factor.exp.is_Integer and factor.exp < 0:
                below.append(factor.base ** (-factor.exp))
            else:
                above.append(factor)
        above.sort(key=self.wait)
        above.sort(key=self.is_lane)  # scalar factors first: one broadcast
        text = "*".join(self._print(f, 2) for f in above) or self.literal(1.0)
        if below:
            text += "/" + self._print(sympy.Mul(*below), 2)
        return f"({text})" if level > 1 else text

    def _power(self, e: sympy.Expr, level: int) -> str:
        base, exponent = e.base, e.exp
        if exponent.is_Integer:
            n = abs(int(exponent))
            if n > 16:
                raise TypeError("integer power too large to unroll")
            text = "*".join([self._print(base, 2)] * n)
            if exponent < 0:
                text = self.literal(1.0) + ("/" + text if n == 1 else f"/({text})")
                n = 2
            return f"({text})" if level > 1 and n > 1 else text
        if exponent == sympy.Rational(1, 2):
            return self._call("sqrt", (base,))
        lane = self.is_lane(base)
        if self.dialect == "lanes" and not lane:
            raise TypeError("power of parameters only: hand it over as a Constant")
        return f"{_FUNCTIONS[self.dialect]['pow']}({self(base)}, {self(exponent)})"

    def _condition(self, c: Relational) -> str:
        lane = self.is_lane(c)
        return f"{self(c.lhs, as_lane=lane)} {c.rel_op} {self(c.rhs, as_lane=lane)}"

    def _select(self, e: sympy.Piecewise) -> str:
        pieces = list(e.args)
        if self.dialect == "lanes" and len(pieces) == 2 and pieces[1].expr == 0:
            condition = self._condition(pieces[0].cond)
            return f"vec_keep({condition}, {self(pieces[0].expr, as_lane=True)})"
        text = self(pieces[-1].expr, as_lane=True)
        for piece in reversed(pieces[:-1]):
            if self.dialect == "lanes":
                text = f"vec_select({self._condition(piece.cond)}, {self(piece.expr, as_lane=True)}, {text})"
            else:
                text = f"({self._condition(piece.cond)} ? {self(piece.expr)} : {text})"
        return text


def _is_plain(term: sympy.Expr) -> bool:
    """A symbol or number, with either sign."""
    return bool(term.is_number or term.is_Symbol or (-term).is_Symbol)


def _steps(expression: sympy.Expr) -> int:
    """Roughly how many dependent operations a statement adds."""
    return 12 if expression.has(sympy.exp, sympy.sin, sympy.cos) else 1


def statements(
    section: Section, dialect: str, inputs: frozenset[str], outputs: dict[str, str] | None = None
) -> tuple[str, ...]:
    """C statements of a Section.

    Args:
        section: what to print; inputs: names that are vectors (dialect "lanes") on entry;
        outputs: where a symbol is stored as soon as it is known, {"g_1": "g[0]"}.
    """
    lanes = set(inputs)
    ready: dict[str, int] = {}
    lines: list[str] = []
    body = list(section.body)
    done: set[int] = set()
    for q, assign in enumerate(body):
        if q in done:
            continue
        printer = Printer(dialect, frozenset(lanes), ready)
        if dialect == "lanes":
            ready[assign.target.name] = printer.wait(assign.value) + _steps(assign.value)
        partner = _sine_partner(body, q)
        if dialect == "lanes" and partner is not None:
            done.add(partner)
            pair = {type(a.value).__name__: a for a in (assign, body[partner])}
            sine, cosine = pair["sin"].target.name, pair["cos"].target.name
            ready[sine] = ready[cosine] = ready[assign.target.name]
            lanes.update((sine, cosine))
            lines.append(f"vec {sine}, {cosine};")
            call = "vec_sin_cos_beyond" if _mostly_zero(assign.value.args[0], body) else "vec_sin_cos"
            lines.append(f"{call}({printer(assign.value.args[0])}, &{sine}, &{cosine});")
            continue
        name = assign.target.name
        if dialect == "double":
            kind = "double"
        else:
            kind = "vec" if printer.is_lane(assign.value) else "real"
            if kind == "vec":
                lanes.add(name)
        tail = f"  /* {assign.comment} */" if assign.comment else ""
        lines.append(f"const {kind} {name} = {printer(assign.value)};{tail}")
        if outputs and name in outputs:
            lines.append(f"{outputs[name]} = {Printer(dialect, frozenset(lanes))(assign.target, as_lane=True)};")
    return tuple(lines)


def _mostly_zero(argument: sympy.Expr, body: list[Assign]) -> bool:
    """Whether the argument is a multiple of some max(..., 0): the window of a taper."""
    clamped = {a.target for a in body if isinstance(a.value, sympy.Max) and sympy.Integer(0) in a.value.args}
    return argument.is_Mul and any(factor in clamped for factor in argument.args)


def _sine_partner(body: list[Assign], q: int) -> int | None:
    """Index of the assignment that is the cosine of the same argument as a sine (or the reverse)."""
    value = body[q].value
    other = {sympy.sin: sympy.cos, sympy.cos: sympy.sin}.get(type(value))
    if other is None:
        return None
    wanted = other(value.args[0])
    return next((p for p in range(q + 1, len(body)) if body[p].value == wanted), None)
