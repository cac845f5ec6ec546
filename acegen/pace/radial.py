"""From bond records to Bonds: radial families, inner switching and core repulsion (pace_format 3, 4, 6, 7)."""

from __future__ import annotations

import difflib

from ase.data import atomic_numbers

from acegen.errors import PotentialError
from acegen.pace.records import BondRecord, JuliaPair, JuliaPolynomials, Records
from acegen.potential import Bond, Core, RadialFamily

Options = tuple[tuple[str, object], ...]
Parameters = tuple[tuple[str, float | tuple[float, ...]], ...]

RADIAL_BASES = ("ChebExpCos", "ChebPow", "ChebLinear", "SBessel", "TEST_SBessel")
JULIA_PREFIX = "ACE.jl"
INNER_MODES = ("density", "distance", "zbl")


def check_radial_basis(name: str, place: str) -> None:
    """Refuse an unknown radial basis, naming the nearest known one; `TEST_*` is known to be zero."""
    if name in RADIAL_BASES or name.startswith(("TEST_", JULIA_PREFIX)):
        return
    similar = difflib.get_close_matches(name, RADIAL_BASES, n=1, cutoff=0.3)
    nearest = f" (nearest: {similar[0]})" if similar else ""
    raise PotentialError(
        f"{place}: expected one of {', '.join(RADIAL_BASES)}, TEST_* or ACE.jl.*{nearest}, found {name!r}"
    )


def check_inner_mode(name: str, place: str) -> None:
    """Refuse an unknown inner cutoff mode."""
    if name not in INNER_MODES:
        raise PotentialError(f"{place}: expected one of {', '.join(INNER_MODES)}, found {name!r}")


def is_julia(record: BondRecord) -> bool:
    """Whether the bond uses ACE.jl polynomials (no c_nlk, no inner cutoff)."""
    return record.julia is not None


def global_mode(records: Records) -> str:
    """The inner cutoff mode of the file: one for all bonds."""
    found = {record.inner: pair for pair, record in sorted(records.bonds.items())}
    if len(found) > 1:
        listed = ", ".join(f"{mode} at {list(pair)}" for mode, pair in sorted(found.items()))
        raise PotentialError(
            f"{records.file}: bonds: inner_cutoff_type: expected the same mode on all bonds, found {listed}"
        )
    return next(iter(found))


def inner_switching(record: BondRecord) -> tuple[str, float, float]:
    """Inner option of the radial functions and its window (r_in, d_in); "none" where it can never act."""
    r_in, d_in = record.r_in, record.d_in
    if record.inner == "zbl":
        # Upstream evaluates g_k with rcut_in = 0, but dcut_in = 0 turns into a step at 1 angstrom (section 6).
        return ("step", 1.0, 0.0) if d_in == 0.0 else ("none", 0.0, 0.0)
    if record.inner == "distance" and r_in > 0.0 and d_in > 0.0:
        return "switch", r_in, d_in
    if r_in - d_in > 0.0:  # density mode, or a distance window of no width
        return "step", r_in, d_in
    return "none", 0.0, 0.0


def _julia_parameters(polynomials: JuliaPolynomials, size: int) -> Parameters:
    """Recursion numbers padded by zeros: polynomials beyond the stored ones vanish."""
    pad = (0.0,) * (size - polynomials.size)
    j = polynomials
    return (("r0", j.r0), ("xl", j.xl), ("xr", j.xr), ("A", j.a + pad), ("B", j.b + pad), ("C", j.c + pad))


def _julia_options(polynomials: JuliaPolynomials) -> Options:
    return (("p", polynomials.p), ("pl", polynomials.pl), ("pr", polynomials.pr))


def make_family(record: BondRecord, size: int) -> RadialFamily:
    """The primitives g_1..g_size of a bond; size is the global nradbase (section 3)."""
    if record.julia is not None:
        options = (*_julia_options(record.julia), ("inner", "none"))
        return RadialFamily("acejl", size, options, _julia_parameters(record.julia, size))
    inner, r_in, d_in = inner_switching(record)
    ending: Options = (("inner", inner),)
    window: Parameters = () if inner == "none" else (("r_in", r_in), ("d_in", d_in))
    rcut: Parameters = (("rcut", record.rcut),)
    lam: Parameters = (("lam", record.lam),)
    if record.basis == "ChebExpCos":
        taper = (("taper", record.dcut > 0.0), *ending)
        return RadialFamily("chebexpcos", size, taper, lam + rcut + (("dcut", record.dcut),) + window)
    if record.basis == "ChebPow":
        whole = int(record.lam) if record.lam in range(1, 9) else 0
        return RadialFamily("chebpow", size, (("power", whole), *ending), lam + rcut + window)
    if record.basis == "ChebLinear":
        return RadialFamily("cheblinear", size, ending, rcut + window)
    if record.basis in ("SBessel", "TEST_SBessel"):
        return RadialFamily("sbessel", size, ending, rcut + window)
    return RadialFamily("zero", size, ending, window)


def _julia_core(pair: JuliaPair) -> Core:
    polynomials, repulsion = pair.polynomials, pair.repulsion
    ri, e0, a, b = repulsion if repulsion is not None else (0.0, 0.0, 0.0, 0.0)
    options = (*_julia_options(polynomials), ("size", polynomials.size), ("repulsive", repulsion is not None))
    numbers: Parameters = (("coef", pair.coefficients), ("ri", ri), ("e0", e0), ("rep_A", a), ("rep_B", b))
    return Core("acejl", options, _julia_parameters(polynomials, polynomials.size) + numbers)


def make_core(record: BondRecord, pair: tuple[str, str], file: str) -> Core | None:
    """The core repulsion of a bond between two element symbols; None where it is identically zero."""
    if record.pair is not None:
        silent = not any(record.pair.coefficients) and record.pair.repulsion is None
        return None if silent else _julia_core(record.pair)
    if is_julia(record) or record.prehc == 0.0:
        return None
    if record.inner == "zbl":
        for symbol in pair:
            if not 1 <= atomic_numbers.get(symbol, 0) <= 103:
                raise PotentialError(f"{file}: elements: expected chemical symbols H..Lr with zbl, found {symbol!r}")
        za, zb = (float(atomic_numbers[symbol]) for symbol in pair)
        numbers: Parameters = (("prehc", record.prehc), ("za", za), ("zb", zb))
        return Core("zbl", (), (*numbers, ("rcut", record.rcut), ("dcut", record.dcut)))
    switched = record.inner == "distance"
    if switched and record.r_in <= 0.0:
        return None  # P(r; r_in, d_in) = 0 for every r > 0
    numbers = (("q", abs(record.prehc)), ("h", abs(record.lambdahc)), ("rcut", record.rcut))
    window: Parameters = (("r_in", record.r_in), ("d_in", record.d_in)) if switched else ()
    return Core("exponential", (("switched", switched),), numbers + window)


def make_bonds(records: Records) -> tuple[tuple[Bond, ...], ...]:
    """All ordered bonds [centre][neighbour]; ACE.jl bonds share the largest cutoff (section 4.6)."""
    n = len(records.elements)
    size = max(record.n_base for record in records.bonds.values())
    kinds = {is_julia(record) for record in records.bonds.values()}
    if len(kinds) > 1:
        raise PotentialError(f"{records.file}: bonds: expected all bonds or none of kind ACE.jl, found both")
    rows = []
    for a in range(n):
        row = []
        for b in range(n):
            record = records.bonds[a, b]
            core = make_core(record, (records.elements[a], records.elements[b]), records.file)
            window = (record.r_in, record.d_in) if record.inner == "zbl" else (0.0, 0.0)
            row.append(Bond(_cutoff(records, record), (make_family(record, size),), core, window))
        rows.append(tuple(row))
    return tuple(rows)


def _cutoff(records: Records, record: BondRecord) -> float:
    if not is_julia(record):
        return record.rcut
    bonds = records.bonds.values()
    pairs = [r.pair.polynomials.rcut for r in bonds if r.pair is not None]
    return max([r.rcut for r in bonds] + pairs)
