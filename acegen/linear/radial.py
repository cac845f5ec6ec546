"""Radial functions of an ace-jax file: a family of primitives per ordered bond and rows of coefficients over it.

Kinds (S9, S14): "analytic" polynomials with weights W, "spline" with a column per function and bond,
"spline_factorised" with columns common to all bonds times an embedding of the neighbour species; and PACE's
spherical Bessel functions in place of the polynomials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.linear.archive import ANY, Archive
from acegen.linear.shape import Parameters, Shape, make_shape
from acegen.pace.fields import show
from acegen.potential import RadialFamily

KINDS = ("analytic", "spline", "spline_factorised")


@dataclass(frozen=True, slots=True, eq=False)
class Radial:
    """One ordered bond: the family and the functions in use over its primitives."""

    cutoff: float  # angstrom
    family: RadialFamily
    rows: np.ndarray  # [n_functions, family.size]


def many_body(archive: Archive, n_species: int, used: list[int]) -> list[list[Radial]]:
    """R of the radial indices in use, [centre][neighbour]."""
    kind = archive.word("radial_kind", KINDS)
    if archive.has("rnl_spline_coefs_single"):
        kind = "spline_factorised"
    if kind == "analytic":
        return _analytic(archive, "rnl", "rnl_Wnlq", "polys", n_species, used)
    if kind == "spline":
        return _spline(archive, "rnl", "rnl_spline_coefs", n_species, used)
    return _factorised(archive, n_species, used)


def pair(archive: Archive, n_species: int, n_functions: int) -> list[list[Radial]]:
    """The pair functions, [centre][neighbour]."""
    used = list(range(n_functions))
    analytic = archive.word("pair_radial_kind", KINDS[:2], "spline") == "analytic"
    array, axis = ("pair_Wnlq", 2) if analytic else ("pair_spline_coefs", 3)
    there = archive.numbers(array, ANY, ANY, ANY, ANY).shape[axis]
    if n_functions < there:  # too many are refused below
        raise archive.fail("Wpair", f"a row for each of the {there} functions of {array}", n_functions)
    if analytic:
        return _analytic(archive, "pair", "pair_Wnlq", "pair_polys", n_species, used)
    return _spline(archive, "pair", "pair_spline_coefs", n_species, used)


def n_radial(archive: Archive) -> int:
    """Length of the list of radial functions that `aspec_r` counts in."""
    if archive.has("rnl_spline_coefs_single"):
        return len(archive.numbers("rnl_emb_nidx", ANY))
    if archive.word("radial_kind", KINDS) == "analytic":
        return int(archive.numbers("rnl_Wnlq", ANY, ANY, ANY, ANY).shape[2])
    return int(archive.numbers("rnl_spline_coefs", ANY, ANY, ANY, ANY).shape[3])


def _analytic(
    archive: Archive, which: str, array: str, polynomials: str, n_species: int, used: list[int]
) -> list[list[Radial]]:
    weights = archive.numbers(array, n_species, n_species, ANY, ANY)
    if weights.shape[2] < len(used):
        raise archive.fail(array, f"weights of {len(used)} functions", weights.shape[2])
    weights = weights[:, :, used]
    n_polynomials = weights.shape[3]
    bessel = which == "rnl" and _basis(archive) == "sbessel"
    recurrence: tuple[np.ndarray, ...] = ()
    if not bessel:
        recurrence = tuple(archive.numbers(f"{polynomials}_{key}", n_polynomials) for key in "ABC")
    # one-hot weights need the first polynomials only: the recurrence is cut there
    sizes = [_last_used(weights[:, b]) for b in range(n_species)]
    out = []
    for a in range(n_species):
        row = []
        for b, size in enumerate(sizes):
            shape = _bessel_shape(archive, a, b) if bessel else make_shape(archive, which, a, b)
            family = RadialFamily("sbessel", size, shape.options, shape.parameters)
            if not bessel:
                given = tuple((key, tuple(c[:size].tolist())) for key, c in zip("ABC", recurrence, strict=True))
                family = RadialFamily(
                    "agnesi", size, (*shape.options, ("polynomial", "given"), *given, *_PLAIN), shape.parameters
                )
            row.append(Radial(shape.cutoff, family, shape.scale * weights[a, b, :, :size]))
        out.append(row)
    return out


_PLAIN: tuple[tuple[str, object], ...] = (("spline_nodes", 0), ("inner", "none"))


def _basis(archive: Archive) -> str:
    build = archive.meta.get("basis")
    default = build.get("rnl_basis", "poly") if isinstance(build, dict) else "poly"
    return archive.word("rnl_basis", ("poly", "sbessel"), str(default))


def _bessel_shape(archive: Archive, a: int, b: int) -> Shape:
    """PACE's g_k(r) up to the cutoff of the pair envelope: no transform, no envelope."""
    cutoff = float(archive.arrays["pair_envelope"][a, b, 0])
    return Shape(cutoff, (("inner", "none"),), (("rcut", cutoff),))


def _last_used(weights: np.ndarray) -> int:
    """Number of primitives up to the last that any function of any centre is made of."""
    live = np.flatnonzero(np.any(weights != 0.0, axis=tuple(range(weights.ndim - 1))))
    return int(live[-1]) + 1 if len(live) else 0


def _nodes(archive: Archive, which: str, n_coefficients: int) -> int:
    """Number of spline nodes; the grid must be that of x in [-1, 1]."""
    grid = archive.meta.get(f"{which}_spline")
    place = f"meta_json.{which}_spline"
    if not isinstance(grid, dict) or not all(_is_size(grid.get(key)) for key in ("x0", "h", "n")):
        raise archive.fail(place, "numbers x0, h and n", show(grid))
    n = int(grid["n"])
    if n < 2 or n_coefficients != n + 2 or abs(grid["x0"] + 1.0) > 1e-12 or abs(grid["h"] * (n - 1) - 2.0) > 1e-12:
        raise archive.fail(place, f"{n_coefficients - 2} nodes from -1 to 1", show(grid))
    return n


def _is_size(value: object) -> bool:
    """Whether it is a number that sizes and steps may have."""
    return isinstance(value, int | float) and abs(value) < 2**31


def _spline_family(shape: Shape, nodes: int, columns: np.ndarray) -> RadialFamily:
    """A family whose primitives are the splines with these coefficients [nodes + 2, size]."""
    options = (*shape.options, ("polynomial", "given"), ("spline_nodes", nodes), ("inner", "none"))
    parameters: Parameters = (*shape.parameters, ("spline", tuple(columns.ravel().tolist())))
    return RadialFamily("agnesi", columns.shape[1], options, parameters)


def _spline(archive: Archive, which: str, array: str, n_species: int, used: list[int]) -> list[list[Radial]]:
    columns = archive.numbers(array, n_species, n_species, ANY, ANY)
    if columns.shape[3] < len(used):
        raise archive.fail(array, f"columns of {len(used)} functions", columns.shape[3])
    nodes = _nodes(archive, which, columns.shape[2])
    out = []
    for a in range(n_species):
        row = []
        for b in range(n_species):
            shape = make_shape(archive, which, a, b)
            own, rows = _distinct(shape.scale * columns[a, b][:, used])
            row.append(Radial(shape.cutoff, _spline_family(shape, nodes, own), rows))
        out.append(row)
    return out


def _distinct(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different columns that are not zero, and the one-hot rows that pick them: functions of all l share some."""
    place: dict[bytes, int] = {}
    kept: list[int] = []
    rows: list[tuple[int, int]] = []
    for k in range(columns.shape[1]):
        if np.any(columns[:, k]):
            key = columns[:, k].tobytes()
            if key not in place:
                place[key] = len(kept)
                kept.append(k)
            rows.append((k, place[key]))
    picks = np.zeros((columns.shape[1], len(kept)))
    for k, primitive in rows:
        picks[k, primitive] = 1.0
    return columns[:, kept], picks


def _factorised(archive: Archive, n_species: int, used: list[int]) -> list[list[Radial]]:
    columns = archive.numbers("rnl_spline_coefs_single", ANY, ANY)
    embedding = archive.numbers("rnl_embedding", n_species, ANY)
    all_which = archive.indices("rnl_emb_nidx", columns.shape[1], ANY)
    which, part = all_which[used], archive.indices("rnl_emb_kidx", embedding.shape[1], len(all_which))[used]
    nodes = _nodes(archive, "rnl", columns.shape[0])
    kept = sorted(set(which.tolist()))
    # functions of one neighbour species each: their own columns, as nothing has to be mixed then
    separate = bool((np.count_nonzero(embedding[:, part], axis=0) <= 1).all())
    out = []
    for a in range(n_species):
        row = []
        for b in range(n_species):
            shape = make_shape(archive, "rnl", a, b)
            if separate:
                own, rows = _distinct(shape.scale * columns[:, which] * embedding[b, part])
            else:
                own, rows = columns[:, kept], np.zeros((len(used), len(kept)))
                rows[np.arange(len(used)), np.searchsorted(kept, which)] = shape.scale * embedding[b, part]
            row.append(Radial(shape.cutoff, _spline_family(shape, nodes, own), rows))
        out.append(row)
    return out
