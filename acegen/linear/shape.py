"""Transforms and envelopes of an ace-jax file as options and parameters of the radial family "agnesi" (S2, S4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from acegen.linear.archive import ANY, Archive

Options = tuple[tuple[str, object], ...]
Parameters = tuple[tuple[str, float | tuple[float, ...]], ...]

_CLOSE = 1e-9  # relative: numbers that follow from others, as different programs round them
_FARTHEST = 1000.0  # angstrom, no cutoff is longer


@dataclass(frozen=True, slots=True)
class Shape:
    """Transform and envelope of one ordered bond; rows over the primitives are multiplied by `scale`."""

    cutoff: float  # angstrom; everything vanishes from there on
    options: Options
    parameters: Parameters
    scale: float = 1.0


def make_shape(archive: Archive, which: str, a: int, b: int) -> Shape:
    """Shape of the bond (a, b); `which` is "rnl" or "pair"."""
    place = f"{which}_transform[{a}, {b}]"
    p, q, steep, r_in, r0, y_in, y_cut = (float(value) for value in archive.arrays[f"{which}_transform"][a, b])
    whole = p == int(p) and q == int(q) and 1 <= p <= q and q >= 2
    if not whole or not 0.0 <= r_in < r0 or abs(y_in - 1.0) > _CLOSE:
        raise archive.fail(
            place, "(p, q, a, rin, r0, yin, ycut) with whole p <= q, rin < r0, yin = 1", (p, q, steep, r_in, r0, y_in)
        )
    expected = (4 * p * q - 2 * p - 2 * q) / (p * p + p + q * q + q)
    if abs(steep - expected) > _CLOSE * expected:
        raise archive.fail(f"{place}[2]", f"a = {expected!r}, steepest at r0", repr(steep))

    def y(r: float) -> float:
        s = (r - r_in) / (r0 - r_in)
        try:
            return float(1.0 / (1.0 + expected * s**q / (1.0 + s ** (q - p))))
        except OverflowError:
            return 0.0  # its limit

    if not y(_FARTHEST) < y_cut < y(r0):
        raise archive.fail(f"{place}[6]", "ycut of a cutoff longer than r0", repr(y_cut))
    cutoff = _distance_of(y, y_cut, r0, _stated_cutoffs(archive, a, b))
    parameters: Parameters = (("rin", r_in), ("r0", r0), ("rcut", cutoff))
    options: Options = (("p", int(p)), ("q", int(q)))
    if which == "rnl":
        return _two_sided(archive, a, b, Shape(cutoff, options, parameters))
    return _one_sided(archive, a, b, Shape(cutoff, options, parameters), r0)


def _stated_cutoffs(archive: Archive, a: int, b: int) -> list[float]:
    """Cutoffs written elsewhere in the file, as the same double as the writer had."""
    found = [archive.meta.get("rcut")]
    for name in ("pair_rcuts", "rcuts"):
        if archive.has(name) and archive.arrays[name].ndim == 2:
            array = archive.numbers(name, ANY, ANY)
            if min(array.shape) > max(a, b):
                found.append(float(array[a, b]))
    found.append(float(archive.arrays["pair_envelope"][a, b, 0]))
    return [float(value) for value in found if isinstance(value, int | float) and 0.0 < value < _FARTHEST]


def _distance_of(y: Callable[[float], float], y_cut: float, r0: float, stated: list[float]) -> float:
    """The distance at which y = y_cut: a stated cutoff where one fits, else by bisection."""
    for cutoff in stated:
        if r0 < cutoff and abs(y(cutoff) - y_cut) <= 1e-14:
            return cutoff
    low, high = r0, _FARTHEST
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if y(middle) > y_cut else (low, middle)
    return 0.5 * (low + high)


def _two_sided(archive: Archive, a: int, b: int, shape: Shape) -> Shape:
    x1, x2, p1, p2, factor = (float(value) for value in archive.arrays["rnl_envelope"][a, b])
    if not -1.0 <= x1 < x2 <= 1.0 or min(p1, p2) < 0.0 or p1 != int(p1) or p2 != int(p2):
        raise archive.fail(
            f"rnl_envelope[{a}, {b}]", "(x1, x2, p1, p2, s), -1 <= x1 < x2 <= 1, whole powers", (x1, x2, p1, p2)
        )
    options = (*shape.options, ("envelope", "poly2sx"), ("p1", int(p1)), ("p2", int(p2)))
    scale = factor * ((x2 - x1) / 2.0) ** (p1 + p2)  # the family has its own s
    return Shape(shape.cutoff, options, (*shape.parameters, ("x1", x1), ("x2", x2)), scale)


def _one_sided(archive: Archive, a: int, b: int, shape: Shape, r0: float) -> Shape:
    row = [float(value) for value in archive.arrays["pair_envelope"][a, b]]
    cutoff, power = row[0], row[-1]
    if abs(cutoff - shape.cutoff) > _CLOSE * cutoff:
        raise archive.fail(f"pair_envelope[{a}, {b}]", f"the cutoff {shape.cutoff!r} of its transform", repr(cutoff))
    if power < 1.0 or power != int(power) or min(row) <= 0.0:
        raise archive.fail(f"pair_envelope[{a}, {b}]", "lengths > 0 and a whole power >= 1", tuple(row))
    kind = "ace1_poly1sr" if len(row) == 3 else "poly1sr"
    # the family measures distances in the r0 of its transform: another r0 in the envelope is a factor
    scale = (row[1] / r0) ** power if len(row) == 3 else 1.0
    options = (*shape.options, ("envelope", kind), ("power", int(power)))
    return Shape(cutoff, options, tuple({**dict(shape.parameters), "rcut": cutoff}.items()), scale)


def check_shapes(archive: Archive, n_species: int) -> None:
    """Shapes of the arrays read here.

    Raises:
        PotentialError: missing, of another shape, or not finite.
    """
    kind = archive.word("pair_envelope_kind", ("poly1sr", "ace1_poly1sr"))
    archive.word("transform_kind", ("agnesi_normalized",), "agnesi_normalized")
    archive.word("envelope_kind", ("poly2sx",), "poly2sx")
    last = 3 if kind == "ace1_poly1sr" else 2
    wanted = (("rnl_transform", 7), ("rnl_envelope", 5), ("pair_transform", 7), ("pair_envelope", last))
    for name, length in wanted:
        archive.numbers(name, n_species, n_species, length)
