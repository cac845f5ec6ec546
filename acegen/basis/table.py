"""Stage 2, basis.txt: the readable table of every row of B."""

from __future__ import annotations

from collections.abc import Iterator

from acegen.basis.real_form import counts, n_real_products
from acegen.potential import Centre, Potential


def basis_table(potential: Potential) -> str:
    """The text of basis.txt: per centre species one line per row; deterministic, no trailing blanks."""
    lines = [
        f"basis of {potential.name}: one line per basis function B",
        "channels: (neighbour species, n, l); * means all neighbour species",
        "terms: complex m-tuples with sum m = 0; real: products of real A functions; rows are numbered per centre",
    ]
    previous: Centre | None = None
    for a, centre in enumerate(potential.centres):
        symbol = potential.species[a]
        if previous is not None and centre.functions is previous.functions:
            lines += ["", f"centre {symbol}: the same rows as centre {potential.species[a - 1]}"]
            continue
        size = counts(potential, a)
        lines += [
            "",
            f"centre {symbol}: {size.n_A} A, {size.n_AA} real products, {size.n_B} B, {size.n_pair} pair functions",
            f"{'row':>6} {'order':>5} {'terms':>6} {'real':>6}  channels",
        ]
        lines += _rows(potential, centre)
        previous = centre
    return "\n".join(lines) + "\n"


def _rows(potential: Potential, centre: Centre) -> Iterator[str]:
    for row, function in enumerate(centre.functions):
        label = function.label or "".join(
            f"({potential.species[channel.neighbour] if channel.neighbour >= 0 else '*'} {channel.n} {channel.l})"
            for channel in (centre.channels[c] for c in function.channels)
        )
        n_real = n_real_products(function)
        yield f"{row:>6} {len(function.channels):>5} {len(function.ms):>6} {n_real:>6}  {label}"
