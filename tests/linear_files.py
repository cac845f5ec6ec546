"""Files of ace-jax and ACEpotentials written for tests, from potentials of specifications or from nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from acegen.basis.real_form import real_products
from acegen.maths.polynomials import recurrence
from acegen.potential import Potential

NODES = 100


def spline_coefficients(values: np.ndarray) -> np.ndarray:
    """B-spline coefficients [n + 2, ...] of the natural cubic spline through values [n, ...] at equidistant nodes."""
    n = len(values)
    system, right = np.zeros((n + 2, n + 2)), np.zeros((n + 2, *values.shape[1:]))
    for k in range(n):
        system[k + 1, k : k + 3] = 1 / 6, 2 / 3, 1 / 6
    system[0, :3] = system[-1, -3:] = 1.0, -2.0, 1.0
    right[1:-1] = values
    return np.linalg.solve(system, right)


def _recurrence(options: dict[str, Any], size: int) -> list[np.ndarray]:
    rows = recurrence(options["polynomial"], size, options["alpha"], options["beta"])
    return [np.array([float(row[k]) for row in rows]) for k in range(3)]


def _at_nodes(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    x = np.linspace(-1.0, 1.0, NODES)
    out = [np.full(NODES, a[0]), a[1] * x + b[1]]
    for k in range(2, len(a)):
        out.append((a[k] * x + b[k]) * out[-1] + c[k] * out[-2])
    return np.stack(out, axis=1)


def _transform(numbers: dict[str, Any]) -> list[float]:
    p, q, r_in, r0 = (float(numbers[key]) for key in ("p", "q", "rin", "r0"))
    a = (4 * p * q - 2 * p - 2 * q) / (p * p + p + q * q + q)
    s = (numbers["rcut"] - r_in) / (r0 - r_in)
    return [p, q, a, r_in, r0, 1.0, 1.0 / (1.0 + a * s**q / (1.0 + s ** (q - p)))]


class _Radial:
    """Weights W [centre, neighbour, function, polynomial], polynomials and shapes of one family of all bonds."""

    def __init__(self, potential: Potential, which: int, channels: list[int]) -> None:
        n = len(potential.species)
        size = max(2, *(row[b].families[which].size for row in potential.bonds for b in range(n)))
        self.weights = np.zeros((n, n, len(channels), size))
        self.numbers = [[dict(b.families[which].options) | dict(b.families[which].parameters) for b in row]
                        for row in potential.bonds]  # fmt: skip
        self.abc = _recurrence(self.numbers[0][0], size)
        for a, row in enumerate(potential.bonds):
            for position, index in enumerate(channels):
                channel = potential.centres[a].channels[index]
                first = 0
                for b, bond in enumerate(row):
                    if channel.neighbour not in (b, -1):
                        continue
                    start = first + (bond.families[0].size if which else 0)
                    part = np.array(channel.coefficients[start : start + bond.families[which].size])
                    self.weights[a, b, position, : len(part)] = part
                    first += bond.n_primitives if channel.neighbour < 0 else 0

    def table(self, columns: tuple[str, ...]) -> np.ndarray:
        return np.array([[[numbers[key] for key in columns] for numbers in row] for row in self.numbers], float)

    @property
    def transform(self) -> np.ndarray:
        return np.array([[_transform(numbers) for numbers in row] for row in self.numbers])

    @property
    def splines(self) -> np.ndarray:
        return np.einsum("sq,abkq->absk", spline_coefficients(_at_nodes(*self.abc)), self.weights)


def write_ace_jax(path: Path, potential: Potential, kind: str = "analytic") -> Path:
    """The linear potential of a specification as ace-jax would have saved it; `kind` as in S14."""
    functions, channels = potential.centres[0].functions, potential.centres[0].channels
    many = [f for f in functions if not f.pair]
    rows = [real_products(f, channels) for f in many]
    used = sorted({c for f in many for c in f.channels})
    slots = [(c, m) for c in range(len(channels)) for m in range(-channels[c].l, channels[c].l + 1)]
    live = sorted({i for products, _ in rows for product in products for i in product})
    columns = sorted({product for products, _ in rows for product in products}, key=lambda key: (len(key), key))
    where = {column: k for k, column in enumerate(columns)}
    place = {index: k for k, index in enumerate(live)}
    harmonic = [channels[slots[i][0]].l * (channels[slots[i][0]].l + 1) + slots[i][1] for i in live]
    radial = _Radial(potential, 0, used)
    pair = _Radial(potential, 1, [f.channels[0] for f in functions if f.pair])
    ace1 = pair.numbers[0][0]["envelope"] == "ace1_poly1sr"
    envelope = radial.table(("x1", "x2", "p1", "p2"))
    scale = ((envelope[..., 1] - envelope[..., 0]) / 2.0) ** -(envelope[..., 2] + envelope[..., 3])
    arrays: dict[str, Any] = {
        "elements": [atomic_numbers[symbol] for symbol in potential.species],
        "aspec_r": [used.index(slots[i][0]) for i in live],
        "aspec_y": harmonic,
        "A2B_rows": [b for b, (products, _) in enumerate(rows) for _ in products],
        "A2B_cols": [where[product] for products, _ in rows for product in products],
        "A2B_vals": np.concatenate([values for _, values in rows]),
        "A2B_shape": [len(many), len(columns)],
        "rnl_transform": radial.transform,
        "rnl_envelope": np.concatenate([envelope, scale[..., None]], axis=-1),
        "pair_transform": pair.transform,
        "pair_envelope": pair.table(("rcut", "r0", "power") if ace1 else ("rcut", "power")),
        "WB": np.stack([c.weights[: len(many), 0] for c in potential.centres], axis=1),
        "Wpair": np.stack([c.weights[len(many) :, 0] for c in potential.centres], axis=1),
        "E0": [c.e0 for c in potential.centres],
    }
    for order in range(1, 1 + max(map(len, columns))):
        arrays[f"aa_spec_{order}"] = np.array(
            [[place[i] for i in column] for column in columns if len(column) == order], np.int32
        ).reshape(-1, order)
    arrays |= _radial_arrays(radial, pair, kind)
    grid = {"x0": -1.0, "h": 2.0 / (NODES - 1), "n": NODES, "ncoef": NODES + 2}
    meta = {
        "schema_version": 1,
        "elements": arrays["elements"],
        "radial_kind": kind.removesuffix("_factorised"),
        "pair_radial_kind": "analytic" if kind == "analytic" else "spline",
        "pair_envelope_kind": "ace1_poly1sr" if ace1 else "poly1sr",
        "ybasis_kind": f"real_{potential.angular}harmonics",
        "rnl_spline": grid,
        "pair_spline": grid,
        "rcut": potential.largest_cutoff,
    }
    np.savez(path, **arrays, meta_json=np.frombuffer(json.dumps(meta).encode(), np.uint8))
    return path


def _radial_arrays(radial: _Radial, pair: _Radial, kind: str) -> dict[str, np.ndarray]:
    unit = math.sqrt(4.0 * math.pi)
    if kind == "analytic":
        out = {"rnl_Wnlq": radial.weights, "pair_Wnlq": pair.weights / unit}
        out |= {f"polys_{key}": values for key, values in zip("ABC", radial.abc, strict=True)}
        return out | {f"pair_polys_{key}": values for key, values in zip("ABC", pair.abc, strict=True)}
    out = {"pair_spline_coefs": pair.splines / unit}
    if kind == "spline":
        return out | {"rnl_spline_coefs": radial.splines}
    # one-hot weights: polynomial n' of the table, times the species it belongs to
    species, polynomial = np.array([np.argwhere(weights)[0] for weights in np.moveaxis(radial.weights[0], 1, 0)]).T
    return out | {
        "rnl_spline_coefs_single": spline_coefficients(_at_nodes(*radial.abc)),
        "rnl_embedding": np.eye(len(radial.weights)),
        "rnl_emb_nidx": polynomial.astype(np.int32),
        "rnl_emb_kidx": species.astype(np.int32),
    }


def write_acepotentials(path: Path, keywords: dict[str, Any], weights: np.ndarray, version: str = "0.3.2") -> Path:
    """A model of ACEpotentials as it saves one."""
    content = {
        "model_parameters": np.asarray(weights).tolist(),
        "model_spec": {"model_name": "ACE1", **keywords},
        "meta": {},
        "manifest": {"deps": {"EquivariantTensors": [{"version": version}]}},
    }
    path.write_text(json.dumps(content))
    return path
