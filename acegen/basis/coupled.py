"""Stage 2, coupled basis: a `BasisSpec` becomes the internal model `Potential`, with every row of B spelled out."""

from __future__ import annotations

import numpy as np

from acegen.basis.product import Body, bodies
from acegen.basis.radial import layout, make_bonds, make_channels
from acegen.basis.size import check_size
from acegen.basis.weights import make_weights
from acegen.errors import SpecError
from acegen.maths.coupling import half_terms
from acegen.potential import BasisFunction, Centre, Channel, Embedding, Potential
from acegen.spec.model import BasisSpec

_NO_M = np.zeros((1, 1), dtype=np.int16)
_ONE = np.ones(1)
_NO_M.setflags(write=False)
_ONE.setflags(write=False)


def enumerate_potential(spec: BasisSpec) -> Potential:
    """The linear (or embedded) ACE model of a spec; every centre species has the same rows of B.

    Order-1 rows are B = A_n00 = Y_00 sum R; pair rows are plain sums of the pair radial functions.
    """
    check_size(spec)
    found = bodies(spec)
    if not found and spec.pair is None:
        raise SpecError(f"{spec.source}: degree: expected a basis with at least one function, got an empty one")
    shape = layout(spec, {factor for body in found for factor in body.factors})
    bonds = make_bonds(spec, shape)
    channels = [make_channels(spec, shape, bonds[a], a) for a in range(spec.n_species)]
    position = {factor: index for index, factor in enumerate(shape.used)}
    functions = tuple(
        function for body in found for function in _body_functions(body, position, channels[0], spec.elements)
    )
    functions += _pair_functions(len(position), channels[0], spec.elements)
    weights = make_weights(spec, functions)
    embedding = Embedding(spec.embedding.kind, spec.embedding.scales, spec.embedding.exponents)
    centres = tuple(
        Centre(spec.reference_energies[a], channels[a], functions, weights[a], embedding) for a in range(spec.n_species)
    )
    return Potential(
        name=spec.name,
        species=spec.elements,
        angular=spec.angular,
        bonds=bonds,
        centres=centres,
        largest_cutoff=max(bond.cutoff for row in bonds for bond in row),
        source=spec.source,
        digest=spec.digest,
        linear=embedding.kind == "linear",
        replaceable=spec.weights_replaceable,
    )


def channel_label(channel: Channel, symbols: tuple[str, ...]) -> str:
    """(Si 1 0): neighbour symbol (* for all), n, l."""
    symbol = symbols[channel.neighbour] if channel.neighbour >= 0 else "*"
    return f"({symbol} {channel.n} {channel.l})"


def _body_functions(
    body: Body, position: dict[tuple[int, int], int], channels: tuple[Channel, ...], symbols: tuple[str, ...]
) -> list[BasisFunction]:
    indices = tuple(position[factor] for factor in body.factors)
    label = "".join(channel_label(channels[index], symbols) for index in indices)
    return [BasisFunction(indices, ms, coefficients, label=label) for ms, coefficients in half_terms(body.groups)]


def _pair_functions(first: int, channels: tuple[Channel, ...], symbols: tuple[str, ...]) -> tuple[BasisFunction, ...]:
    return tuple(
        BasisFunction((index,), _NO_M, _ONE, pair=True, label=f"pair {channel_label(channels[index], symbols)}")
        for index in range(first, len(channels))
    )
