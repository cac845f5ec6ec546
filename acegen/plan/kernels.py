"""Stage 4: product kernels, the fixed little tensors of pairs and triples."""

from __future__ import annotations

from acegen.maths.wigner import real_coupling_terms
from acegen.plan.products import kernel_name
from acegen.plan.types import KernelPlan
from acegen.program.types import component


def kernel_plan(kernel: tuple[object, ...]) -> KernelPlan:
    """Tensor of one product kernel in component order, equal magnitudes sharing one named constant."""
    if kernel[0] == "multiply":
        return _multiply(kernel)
    _, lx, ly, degrees = kernel
    assert isinstance(lx, int) and isinstance(ly, int) and isinstance(degrees, tuple)
    constants: dict[str, tuple[int, float]] = {}
    results: list[list[tuple[int, int, int, int]]] = []
    for degree in degrees:
        rows: list[list[tuple[int, int, int, int]]] = [[] for _ in range(2 * degree + 1)]
        for m1, m2, total, root in real_coupling_terms(lx, ly, degree):
            text = f"sqrt({root.square})" if root.square != 1 else "1"
            number = constants.setdefault(text, (len(constants), float(root.square) ** 0.5))[0]
            rows[component(total)].append((component(m1), component(m2), number, root.sign))
        results += [sorted(row) for row in rows]
    title = f"X_LM = sum C A_{lx}m B_{ly}m', L = " + ", ".join(str(d) for d in degrees)
    return _finish(kernel_name(kernel), title, 2 * lx + 1, 2 * ly + 1, results, constants)


def _multiply(kernel: tuple[object, ...]) -> KernelPlan:
    _, n_x, n_y, conjugate = kernel
    name = kernel_name(kernel)
    one = {"1": (0, 1.0)}
    if (n_x, n_y) == (1, 1):
        return _finish(name, "x y, both real", 1, 1, [[(0, 0, 0, 1)]], one)
    if (n_x, n_y) == (1, 2):
        return _finish(name, "x y, x real, y complex", 1, 2, [[(0, 0, 0, 1)], [(0, 1, 0, 1)]], one)
    s = -1 if conjugate else 1
    results = [[(0, 0, 0, 1), (1, 1, 0, -s)], [(0, 1, 0, s), (1, 0, 0, 1)]]
    return _finish(name, "x conj(y)" if conjugate else "x y, both complex", 2, 2, results, one)


def _finish(
    name: str,
    title: str,
    n_x: int,
    n_y: int,
    results: list[list[tuple[int, int, int, int]]],
    constants: dict[str, tuple[int, float]],
) -> KernelPlan:
    pairs = sorted({(i, j) for row in results for i, j, _, _ in row})
    adjoint = tuple(
        tuple((out, c, sign) for out, row in enumerate(results) for i, j, c, sign in row if (i, j) == pair)
        for pair in pairs
    )
    ordered = tuple((value, text) for text, (_, value) in constants.items())
    return KernelPlan(name, title, n_x, n_y, tuple(pairs), tuple(tuple(row) for row in results), adjoint, ordered)
