"""Stage 2, radial part: bonds with their families of primitives, and the channel coefficients over them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from acegen.basis.one_particle import neighbour_of, polynomial_of, radial_channels
from acegen.basis.weights import load_arrays, pick
from acegen.errors import SpecError
from acegen.potential import Bond, Channel, RadialFamily
from acegen.spec.model import BasisSpec, BondSpec, Envelope, PairSpec, Primitives, RadialSpec, Transform

ALL_SPECIES = -1
UNIT = math.sqrt(4.0 * math.pi)  # cancels Y_00 in the pair rows


@dataclass(frozen=True, slots=True)
class RadialLayout:
    """Channels in use and the sizes that follow: polynomials of the many-body and pair family per neighbour."""

    one_hot: bool
    used: tuple[tuple[int, int], ...]  # species-coded (n, l) in use, in the order of the channels of a centre
    sizes: tuple[int, ...]  # [neighbour species]
    pair_sizes: tuple[int, ...]  # [neighbour species]


def layout(spec: BasisSpec, used: set[tuple[int, int]]) -> RadialLayout:
    """Polynomials really used (one-hot: the recurrence is cut there) and the order (neighbour, l, n)."""
    species = range(spec.n_species)
    one_hot = spec.radial.weights.kind == "one-hot"
    if one_hot:
        order = sorted(used, key=lambda nl: (neighbour_of(nl[0], spec.n_species), nl[1], nl[0]))
        sizes = tuple(_largest([n for n, _ in used], b, spec.n_species) for b in species)
    else:
        order = sorted(used, key=lambda nl: (nl[1], nl[0]))
        sizes = (spec.radial.n_polynomials,) * spec.n_species
    n_pair = spec.pair.n_functions if spec.pair else 0
    pair_sizes = tuple(_largest(range(1, n_pair + 1), b, spec.n_species) for b in species)
    return RadialLayout(one_hot, tuple(order), sizes, pair_sizes)


def _largest(ns: list[int] | range, neighbour: int, n_species: int) -> int:
    return max((polynomial_of(n, n_species) + 1 for n in ns if neighbour_of(n, n_species) == neighbour), default=0)


def make_bonds(spec: BasisSpec, shape: RadialLayout) -> tuple[tuple[Bond, ...], ...]:
    """Bonds [centre][neighbour]: family 0 many-body, family 1 pair (when there is a pair basis)."""
    return tuple(tuple(_bond(spec, shape, a, b) for b in range(spec.n_species)) for a in range(spec.n_species))


def _bond(spec: BasisSpec, shape: RadialLayout, a: int, b: int) -> Bond:
    own: BondSpec = spec.bonds[a][b]
    radial = spec.radial
    families = [_family(shape.sizes[b], own.cutoff, own.transform, own.envelope, radial)]
    if spec.pair is not None:
        families.append(_family(shape.pair_sizes[b], own.cutoff, own.pair_transform, own.pair_envelope, spec.pair))
    return Bond(own.cutoff, tuple(families))


def _family(
    size: int, cutoff: float, transform: Transform, envelope: Envelope, basis: RadialSpec | PairSpec
) -> RadialFamily:
    if basis.primitives is not None:
        return pace_family(basis.primitives, size, cutoff)
    polynomials, evaluation = basis.polynomials, basis.evaluation
    options: tuple[tuple[str, object], ...] = (
        ("p", transform.p),
        ("q", transform.q),
        ("polynomial", polynomials.kind),
        ("alpha", polynomials.alpha),
        ("beta", polynomials.beta),
        ("envelope", envelope.kind),
        ("p1", envelope.p1),
        ("p2", envelope.p2),
        ("power", envelope.power),
        ("spline_nodes", evaluation.nodes),
        ("inner", "none"),
    )
    parameters: tuple[tuple[str, float | tuple[float, ...]], ...] = (
        ("rin", transform.r_in),
        ("r0", float(transform.r0 or 0.0)),
        ("rcut", cutoff),
        ("x1", envelope.x1),
        ("x2", envelope.x2),
    )
    return RadialFamily("agnesi", size, options, parameters)


def pace_family(primitives: Primitives, size: int, cutoff: float) -> RadialFamily:
    """A radial basis of PACE on one bond, without inner cutoff (pace_format 4)."""
    plain: tuple[tuple[str, object], ...] = (("inner", "none"),)
    lam, rcut = ("lam", primitives.steepness), ("rcut", cutoff)
    if primitives.kind == "ChebExpCos":
        options = (("taper", primitives.taper > 0.0), *plain)
        return RadialFamily("chebexpcos", size, options, (lam, rcut, ("dcut", primitives.taper)))
    if primitives.kind == "ChebPow":
        whole = int(primitives.steepness) if primitives.steepness in range(1, 9) else 0
        return RadialFamily("chebpow", size, (("power", whole), *plain), (lam, rcut))
    return RadialFamily("sbessel", size, plain, (rcut,))


def make_channels(spec: BasisSpec, shape: RadialLayout, bonds: tuple[Bond, ...], a: int) -> tuple[Channel, ...]:
    """Channels of centre a: many-body ones in the order of the layout, then one per pair function."""
    n_species = spec.n_species
    if shape.one_hot:
        channels = [
            _one_hot(bonds, neighbour_of(n, n_species), polynomial_of(n, n_species), l, 0, 1.0) for n, l in shape.used
        ]
    else:
        channels = _mixed(spec, shape, bonds, radial_matrix(spec), a)
    for n in range(1, (spec.pair.n_functions if spec.pair else 0) + 1):
        b = neighbour_of(n, n_species)
        channels.append(_one_hot(bonds, b, polynomial_of(n, n_species), 0, bonds[b].families[0].size, UNIT))
    return tuple(channels)


def _one_hot(bonds: tuple[Bond, ...], b: int, polynomial: int, l: int, first: int, value: float) -> Channel:
    coefficients = [0.0] * bonds[b].n_primitives
    coefficients[first + polynomial] = value
    return Channel(b, polynomial + 1, l, tuple(coefficients))


def _mixed(spec: BasisSpec, shape: RadialLayout, bonds: tuple[Bond, ...], matrix: np.ndarray, a: int) -> list[Channel]:
    """Channels over all neighbour species: coefficients of bond (a, 0), then (a, 1), ..."""
    position = {(c.n, c.l): i for i, c in enumerate(radial_channels(spec))}
    result = []
    for n, l in shape.used:
        coefficients: list[float] = []
        for b, bond in enumerate(bonds):
            row = matrix[a, b, position[n, l]].tolist()
            coefficients += row + [0.0] * (bond.n_primitives - len(row))
        result.append(Channel(ALL_SPECIES, n, l, tuple(coefficients)))
    return result


def radial_matrix(spec: BasisSpec) -> np.ndarray:
    """W [n_species, n_species, n_nl, n_polynomials] of glorot or given radial weights.

    Glorot-normal: standard deviation sqrt(2 / (n_nl + n_polynomials)), one Philox stream per spec.
    """
    shape = (spec.n_species, spec.n_species, len(radial_channels(spec)), spec.radial.n_polynomials)
    weights = spec.radial.weights
    if weights.source is None:
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([weights.seed, shape[2]])))
        return stream.standard_normal(shape) * math.sqrt(2.0 / (shape[2] + shape[3]))
    label = f"{spec.source}: radial.weights.file {weights.source.file}"
    array = pick(load_arrays(weights.source.path, label), label, weights.array)
    if array.shape != shape:
        raise SpecError(
            f"{label}: array {weights.array!r}: expected shape {list(shape)} (centre, neighbour, (n, l), polynomial), "
            f"got {list(array.shape)}"
        )
    return array
