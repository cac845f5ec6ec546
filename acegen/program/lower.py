"""Stage 3: Potential -> one Program per centre species, in the form that costs less."""

from __future__ import annotations

import numpy as np

from acegen.potential import Potential
from acegen.program.cost import product_cost
from acegen.program.coupled import NotInvariant, coupled
from acegen.program.flat import flat
from acegen.program.leaves import lay_out
from acegen.program.monomials import blocks
from acegen.program.pair_split import pair_split
from acegen.program.types import Fold, Program

FORMS = ("auto", "coupled", "pair", "flat")


def lower_centre(potential: Potential, centre: int, form: str = "auto") -> Program | None:
    """The program of one centre species; None when "coupled" is asked for and does not apply."""
    this = potential.centres[centre]
    leaves = lay_out(this, potential.bonds[centre])
    product = blocks(this)
    degrees = {c: channel.l for c, channel in enumerate(this.channels)}
    found = []
    linear, linear_fold = leaves.linear, leaves.linear_fold
    for candidate in (form,) if form != "auto" else ("coupled", "pair"):
        try:
            if candidate == "flat":
                end, steps, entries, offsets, fold = flat(product, leaves.offset, leaves.n_leaves)
                linear, linear_fold = np.concatenate([linear, offsets]), _stack(linear_fold, fold)
            elif candidate == "coupled":
                end, steps, entries = coupled(product, degrees, leaves.offset, leaves.n_leaves)
            else:
                end, steps, entries = pair_split(product, leaves.offset, leaves.n_leaves)
        except NotInvariant:
            continue
        found.append(
            Program(
                form=candidate,
                pools=leaves.pools,
                combinations=leaves.combinations,
                mixes=leaves.mixes,
                n_pooled=leaves.n_pooled,
                n_leaves=leaves.n_leaves,
                n_components=end,
                leaf_offset=leaves.offset,
                steps=steps,
                linear=linear,
                linear_fold=linear_fold,
                entries=entries,
                folded=leaves.folded,
                n_functions=len(this.functions),
                n_densities=this.embedding.n_densities,
            )
        )
    return min(found, key=product_cost) if found else None


def _stack(first: Fold, second: Fold) -> Fold:
    return Fold(
        np.concatenate([first.indptr, second.indptr[1:] + first.indptr[-1]]),
        np.concatenate([first.indices, second.indices]),
        np.concatenate([first.values, second.values]),
    )


def lower(potential: Potential, form: str = "auto") -> tuple[Program, ...]:
    """Programs of all centre species; a form that does not apply to a species falls back to "pair"."""
    out = []
    for centre in range(len(potential.species)):
        program = lower_centre(potential, centre, form) or lower_centre(potential, centre, "pair")
        if program is None:  # "pair" applies to every monomial list
            raise RuntimeError("no form of the product basis applies")
        out.append(program)
    return tuple(out)
