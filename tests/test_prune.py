"""What templates share is printed where a kernel needs it, and nowhere else."""

from __future__ import annotations

from acegen.emit.prune import prune

DEAD = """\
/* calls nobody but itself */
static int alone(int n)
{
    return n ? alone(n - 1) : 0;
}

/* called by `dead` only; used() is a word of this comment */
INLINE int helper(int n) { return n; }

INLINE int dead(
    int n, int m)
{
    (void)m;
    return helper(n);
}

"""

HEAD = "/* ---- section ---- */\n\n"

LIVE = """\
static const int table[2] = {1, 2};

/* kept */
static int used(int n, int m, int threads)
{
    (void)n, (void)m;
    (void)threads;
    (void)table;
#if defined(_OPENMP)
    return n + threads;
#else
    return n;
#endif
}

int entry(int n)
{
    return used(n, n, n) + table[0];
}
"""


def _packed(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def test_functions_that_nobody_calls_are_not_printed() -> None:
    """With what only they call and the comments above them; a name in a comment or in its own body is no call."""
    assert _packed(prune(HEAD + DEAD + LIVE)) == _packed(HEAD + LIVE)


def test_conditions_around_nothing_go_too() -> None:
    text = "#if A\n/* f */\nstatic int f(int a)\n{\n    return a;\n}\n#endif\nint b;\n"
    assert prune(text) == "int b;\n"


def test_void_stays_where_an_argument_is_not_used() -> None:
    """Used in all branches of the preprocessor, in some of them, in none."""
    text = (
        "int g(int a, int b, int c)\n{\n    (void)a, (void)b, (void)c;\n#if A\n    b = 1;\n#endif\n    return a;\n}\n"
    )
    static = "static " + text + "int h = (int)(long)&g;\n"
    assert "    (void)b, (void)c;\n" in prune(static)
    assert "(void)a" not in prune(static)
    text = "static int g(int a)\n{\n    (void)a;\n    return a;\n}\nint h(void) { return g(1); }\n"
    assert prune(text) == "static int g(int a)\n{\n    return a;\n}\nint h(void) { return g(1); }\n"
