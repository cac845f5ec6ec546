"""Stage 3: Potential -> one Program per centre species, in the form that costs less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acegen.potential import Centre, Potential
from acegen.program.cost import pair_budget, product_operations
from acegen.program.coupled import NotInvariant, coupled
from acegen.program.flat import flat
from acegen.program.leaves import Leaves, lay_out
from acegen.program.monomials import Block, blocks
from acegen.program.pair_split import least_operations, pair_split
from acegen.program.types import Fold, Program

FORMS = ("auto", "coupled", "pair", "flat")


def lower_centre(potential: Potential, centre: int, form: str = "auto") -> Program | None:
    """The program of one centre species; None when "coupled" is asked for and does not apply."""
    this = potential.centres[centre]
    leaves = lay_out(this, potential.bonds[centre])
    product = blocks(this)
    if form != "auto":
        return _program(this, leaves, product, form, None)
    found = _program(this, leaves, product, "coupled", None)
    if found is None:
        return _program(this, leaves, product, "pair", None)
    least = pair_budget(product_operations(found))
    if least_operations(product, found.n_densities) >= least:
        return found  # the other form is dearer whatever its nodes are
    other = _program(this, leaves, product, "pair", least)
    return found if other is None else other


def _program(centre: Centre, leaves: Leaves, product: list[Block], form: str, budget: int | None) -> Program | None:
    """One form; None when it does not apply or needs more multiply-adds than the budget."""
    linear, linear_fold = leaves.linear, leaves.linear_fold
    n_densities = centre.embedding.n_densities
    if form == "flat":
        end, steps, entries, offsets, fold = flat(product, leaves.offset, leaves.n_leaves)
        linear, linear_fold = np.concatenate([linear, offsets]), _stack(linear_fold, fold)
    elif form == "coupled":
        degrees = {c: channel.l for c, channel in enumerate(centre.channels)}
        try:
            end, steps, entries = coupled(product, degrees, leaves.offset, leaves.n_leaves)
        except NotInvariant:
            return None
    else:
        halves = pair_split(product, leaves.offset, leaves.n_leaves, n_densities, budget)
        if halves is None:
            return None
        end, steps, entries = halves
    return Program(
        form=form,
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
        n_functions=len(centre.functions),
        n_densities=n_densities,
    )


def _stack(first: Fold, second: Fold) -> Fold:
    return Fold(
        np.concatenate([first.indptr, second.indptr[1:] + first.indptr[-1]]),
        np.concatenate([first.indices, second.indices]),
        np.concatenate([first.values, second.values]),
    )


def _same_products(potential: Potential, centre: int, found: list[Program]) -> Program | None:
    """The program of an earlier centre with the same functions and leaves, with this centre's own numbers."""
    this = potential.centres[centre]
    for a, program in enumerate(found):
        other = potential.centres[a]
        if other.functions is not this.functions or other.embedding.n_densities != this.embedding.n_densities:
            continue
        leaves = lay_out(this, potential.bonds[centre])
        if (leaves.offset, leaves.n_leaves) == (program.leaf_offset, program.n_leaves):
            if [c.l for c in other.channels] != [c.l for c in this.channels] or program.form == "flat":
                continue
            return replace(
                program,
                pools=leaves.pools,
                combinations=leaves.combinations,
                mixes=leaves.mixes,
                n_pooled=leaves.n_pooled,
                linear=leaves.linear,
                linear_fold=leaves.linear_fold,
                folded=leaves.folded,
            )
    return None


def lower(potential: Potential, form: str = "auto") -> tuple[Program, ...]:
    """Programs of all centre species; a form that does not apply to a species falls back to "pair"."""
    out: list[Program] = []
    for centre in range(len(potential.species)):
        same = _same_products(potential, centre, out)
        if same is not None:
            out.append(same)
            continue
        program = lower_centre(potential, centre, form) or lower_centre(potential, centre, "pair")
        if program is None:  # "pair" applies to every monomial list
            raise RuntimeError("no form of the product basis applies")
        out.append(program)
    return tuple(out)
