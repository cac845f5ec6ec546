"""The reusable parts of a spec: transform, envelope, polynomials, evaluation, named array files, embedding, weights."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

from acegen.errors import SpecError
from acegen.spec.fields import Fields, as_number
from acegen.spec.model import (
    ArrayFile,
    EmbeddingSpec,
    Envelope,
    Evaluation,
    Polynomials,
    Primitives,
    RadialWeights,
    Transform,
    WeightSpec,
)

ENVELOPES = ("poly2sx", "poly1sr", "ace1_poly1sr", "none")
EMBEDDINGS = ("linear", "FinnisSinclair", "FinnisSinclairShiftedScaled")
MAX_POWER = 16  # generated code spells powers out as products


def read_transform(owner: Fields, default: Transform, key: str = "transform") -> Transform:
    """Agnesi p, q, r_in, r0 (q >= p >= 1); lengths are compared with the cutoff when the bond is known."""
    fields = owner.child(key, "kind")
    if fields is None:
        return default
    fields.choice("kind", "agnesi", ("agnesi",))
    p = fields.integer("p", default.p, f"a whole number 1..{MAX_POWER}", 1, MAX_POWER)
    q = fields.integer("q", default.q, f"a whole number 1..{MAX_POWER}", 1, MAX_POWER)
    if q < p:
        place = fields.dotted("q")
        raise SpecError(f"{fields.file}: {place}: expected q >= p (the transform needs it), got p = {p} and q = {q}")
    r_in = fields.number("r_in", default.r_in, "a length in angstrom >= 0", 0.0)
    r0 = default.r0
    if fields.has("r0"):
        r0 = fields.number("r0", 0.0, "a length in angstrom > 0", 0.0, strict=True)
    fields.finish()
    return Transform(p, q, r_in, r0)


def read_envelope(owner: Fields, default: Envelope) -> Envelope:
    """Envelope of one radial basis."""
    fields = owner.child("envelope", "kind")
    if fields is None:
        return default
    kind = fields.choice("kind", default.kind, ENVELOPES)
    base = default if kind == default.kind else Envelope(kind, power=2 if kind == "ace1_poly1sr" else 1)
    if kind == "poly2sx":
        p1 = fields.integer("p1", base.p1, f"a whole number 0..{MAX_POWER}", 0, MAX_POWER)
        p2 = fields.integer("p2", base.p2, f"a whole number 1..{MAX_POWER} (0: energies jump at x2)", 1, MAX_POWER)
        x1 = fields.number("x1", base.x1, "a number in -1..1", -1.0)
        x2 = fields.number("x2", base.x2, "a number in -1..1", -1.0)
        if x2 > 1.0:
            fields.fail("x2", "a number in -1..1")
        if x1 >= x2:
            fields.fail("x1", f"a number below x2 = {x2}")
        base = Envelope(kind, p1, p2, x1, x2)
    elif kind in ("poly1sr", "ace1_poly1sr"):
        base = replace(base, power=fields.integer("power", base.power, f"a whole number 1..{MAX_POWER}", 1, MAX_POWER))
    fields.finish()
    _warn_of_jumps(fields, base)
    return base


def _warn_of_jumps(fields: Fields, envelope: Envelope) -> None:
    """Tell of a potential that molecular dynamics cannot conserve the energy of."""
    if envelope.kind == "none":
        found, what = "kind: none", "energies and forces jump"
    elif envelope.kind == "poly2sx" and envelope.p2 == 1:
        found, what = "p2: 1", "forces jump"
    else:
        return
    text = f"{fields.file}: {fields.place}: with {found} {what} where an atom crosses the cutoff; p2: 2 is smooth"
    warnings.warn(text, stacklevel=2)


def read_polynomials(owner: Fields, default: Polynomials) -> Polynomials:
    """Polynomial family; alpha and beta belong to jacobi only."""
    fields = owner.child("polynomials", "kind")
    if fields is None:
        return default
    kind = fields.choice("kind", default.kind, ("legendre", "jacobi", "chebyshev"))
    result = Polynomials(kind)
    if kind == "jacobi":
        alpha, beta = (default.alpha, default.beta) if kind == default.kind else (4.0, 4.0)
        alpha = fields.number("alpha", alpha, "a number > -1", -1.0, strict=True)
        beta = fields.number("beta", beta, "a number > -1", -1.0, strict=True)
        result = Polynomials(kind, alpha, beta)
    fields.finish()
    return result


PACE_KINDS = ("ChebExpCos", "ChebPow", "SBessel")


def read_primitives(owner: Fields, default: Primitives | None) -> Primitives | None:
    """kind, lambda and taper: a radial basis of PACE; None: transform, polynomials and envelope."""
    kind = owner.choice("kind", default.kind if default else "agnesi", ("agnesi", *PACE_KINDS))
    if kind == "agnesi":
        for key in ("lambda", "taper"):
            if owner.has(key):
                owner.fail(key, f"no such key without a kind of {', '.join(PACE_KINDS)}")
        return None
    for key in ("transform", "polynomials", "envelope"):
        if owner.has(key):
            owner.fail(key, f"no such key with kind {kind}")
    base = default if default and default.kind == kind else Primitives(kind, {"SBessel": 0.0}.get(kind, 5.25))
    steepness, taper = base.steepness, base.taper
    if kind == "SBessel" and owner.has("lambda"):
        owner.fail("lambda", "no such key with kind SBessel")
    if kind != "ChebExpCos" and owner.has("taper"):
        owner.fail("taper", "no such key without kind ChebExpCos")
    if kind == "ChebExpCos":
        steepness = owner.number("lambda", steepness, "a number > 0", 0.0, strict=True)
        taper = owner.number("taper", taper, "a length in angstrom >= 0", 0.0)
    elif kind == "ChebPow":
        steepness = owner.number("lambda", steepness, "a number > 1 (else forces jump at the cutoff)", 1.0, strict=True)
    return Primitives(kind, steepness, taper)


def read_evaluation(owner: Fields, default: Evaluation) -> Evaluation:
    """exact, spline or tabulated."""
    fields = owner.child("evaluation", "kind")
    if fields is None:
        return default
    kind = fields.choice("kind", default.kind, ("exact", "spline", "tabulated"))
    result = Evaluation(kind)
    if kind == "spline":
        nodes = fields.integer("nodes", 100, "100, the number of nodes of ACE1's splines", 100, 100)
        result = Evaluation(kind, nodes=nodes)
    elif kind == "tabulated":
        tolerance = fields.number("tolerance", 1e-12, "a number >= 1e-14", 1e-14)
        result = Evaluation(kind, tolerance=tolerance)
    fields.finish()
    return result


def read_array_file(fields: Fields, folder: Path) -> ArrayFile:
    """The .npz file named under `file`, relative to the spec."""
    expected = "the name of an .npz file next to the spec"
    name = fields.require("file", expected)
    if not isinstance(name, str) or not name.endswith(".npz"):
        fields.fail("file", expected)
    path = folder / name
    if not path.is_file():
        fields.fail("file", f"{expected}, which exists")
    return ArrayFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def read_radial_weights(owner: Fields, folder: Path) -> RadialWeights:
    """one-hot, glorot or file."""
    fields = owner.child("weights", "kind")
    if fields is None:
        return RadialWeights()
    kind = fields.choice("kind", "one-hot", ("one-hot", "glorot", "file"))
    result = RadialWeights(kind)
    if kind == "glorot":
        result = RadialWeights(kind, seed=fields.integer("seed", 0, "a whole number >= 0", 0))
    elif kind == "file":
        array = fields.raw("array") if fields.has("array") else "W"
        if not isinstance(array, str):
            fields.fail("array", "the name of an array in the file")
        result = RadialWeights(kind, source=read_array_file(fields, folder), array=array)
    fields.finish()
    return result


def read_embedding(owner: Fields) -> EmbeddingSpec:
    """linear, or a Finnis-Sinclair form with one scale and one exponent per density."""
    fields = owner.child("embedding", "kind")
    if fields is None:
        return EmbeddingSpec()
    kind = fields.choice("kind", "linear", EMBEDDINGS)
    result = EmbeddingSpec()
    if kind != "linear":
        scales = fields.numbers("scales", "a list of numbers, one per density")
        exponents = fields.numbers("exponents", f"a list of {len(scales)} numbers > 0", len(scales))
        if not scales or min(exponents) <= 0.0:
            fields.fail("exponents" if scales else "scales", "a list of numbers > 0, one per density")
        result = EmbeddingSpec(kind, scales, exponents)
    fields.finish()
    return result


def read_weights(owner: Fields, folder: Path) -> WeightSpec:
    """zero, random or file."""
    fields = owner.child("weights", "kind")
    if fields is None:
        return WeightSpec()
    kind = fields.choice("kind", "zero", ("zero", "random", "file"))
    result = WeightSpec(kind)
    if kind == "random":
        seed = fields.integer("seed", 0, "a whole number >= 0", 0)
        scale = fields.number("scale", 1.0, "a number > 0", 0.0, strict=True)
        if scale > 1e25:
            fields.fail("scale", "a number up to 1e25")
        result = WeightSpec(kind, seed=seed, scale=scale)
    elif kind == "file":
        result = WeightSpec(kind, source=read_array_file(fields, folder))
    fields.finish()
    return result


def read_reference_energies(owner: Fields, elements: tuple[str, ...]) -> tuple[float, ...]:
    """E0 in eV by symbol; missing symbols have 0."""
    fields = owner.child("reference_energies")
    if fields is None:
        return (0.0,) * len(elements)
    energies = []
    for symbol in elements:
        if fields.has(symbol) and as_number(fields.raw(symbol)) is None:
            fields.fail(symbol, "an energy in eV")
        energies.append(as_number(fields.raw(symbol)) or 0.0)
    fields.finish()
    return tuple(energies)
