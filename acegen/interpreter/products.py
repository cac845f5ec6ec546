"""Basis functions B of one centre species and their adjoint, term by term over the complex amplitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.potential import Centre

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All terms of one correlation order: B[function] += coefficient Re prod_t A[slots[t]]."""

    slots: Array  # int [n_terms, order] into the flat amplitudes
    coefficients: Array  # [n_terms]
    functions: Array  # int [n_terms]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Flat amplitudes: channel c and m sit at first[c] + l + m."""

    first: Array  # int [n_channels]
    size: int
    n_functions: int
    terms: tuple[Terms, ...]


def make_layout(centre: Centre) -> Layout:
    """Flatten channels and terms of a centre species."""
    widths = np.array([2 * channel.l + 1 for channel in centre.channels], dtype=int)
    first = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    middle = [int(start) + channel.l for start, channel in zip(first, centre.channels, strict=False)]
    by_order: dict[int, list[tuple[Array, Array, Array]]] = {}
    for index, function in enumerate(centre.functions):
        slots = np.array([middle[c] for c in function.channels]) + function.ms
        owner = np.full(len(slots), index)
        by_order.setdefault(len(function.channels), []).append((slots, function.coefficients, owner))
    terms = tuple(
        Terms(*(np.concatenate(parts) for parts in zip(*by_order[order], strict=True))) for order in sorted(by_order)
    )
    return Layout(first[:-1], int(first[-1]), len(centre.functions), terms)


def _segment_sums(values: Array, keys: Array, size: int) -> Array:
    """Columns of values [n, n_terms] added up by key into [n, size]."""
    out = np.zeros((len(values), size), dtype=values.dtype)
    if len(keys):
        order = np.argsort(keys, kind="stable")
        starts = np.nonzero(np.diff(keys[order], prepend=-1))[0]
        out[:, keys[order][starts]] = np.add.reduceat(values[:, order], starts, axis=1)
    return out


def basis_values(layout: Layout, amplitudes: Array) -> Array:
    """B [n_atoms, n_functions] from flat complex amplitudes [n_atoms, size]."""
    out = np.zeros((len(amplitudes), layout.n_functions))
    for terms in layout.terms:
        product = np.prod(amplitudes[:, terms.slots], axis=2)
        out += _segment_sums(terms.coefficients * product.real, terms.functions, layout.n_functions)
    return out


def adjoint(layout: Layout, amplitudes: Array, theta: Array) -> Array:
    """w [n_atoms, size] with dE = Re sum_v w_v dA_v, from theta = dE/dB [n_atoms, n_functions]."""
    out = np.zeros((len(amplitudes), layout.size), dtype=complex)
    for terms in layout.terms:
        factors = amplitudes[:, terms.slots]
        strength = theta[:, terms.functions] * terms.coefficients
        for t in range(terms.slots.shape[1]):
            others = np.prod(np.delete(factors, t, axis=2), axis=2)
            out += _segment_sums(strength * others, terms.slots[:, t], layout.size)
    return out
