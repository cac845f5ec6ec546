"""Stage 4, forward mode on hosts: gradients of four functions at a time, one neighbour after another.

With functions side by side in a vector, the rows of a neighbour leave the processor in the order of memory, and one D_v
serves all functions of a block that contain v: worth it where a neighbour shows in few amplitudes of a function.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 4  # functions side by side


@dataclass(frozen=True, slots=True)
class Block:
    """Functions side by side: where their gradients go and the tile values they are sums over."""

    first: int  # function; of kept functions, number among the tile values that are no scalars
    kept: bool
    n_scalars: int  # of the values, the first of them
    values: tuple[int, ...]  # scalars, then numbers among the others
    fours: int  # of the blocks before; this has one for each value, with J of each function or zero


@dataclass(frozen=True, slots=True)
class Blocks:
    """All blocks of one centre and one neighbour species, in the order of their computation."""

    blocks: tuple[Block, ...]
    places: tuple[tuple[int, int], ...]  # (slot, where it goes in the fours), all other numbers are zero
    n_fours: int


NO_BLOCKS = Blocks((), (), 0)


def make_blocks(
    found: list[tuple[int, list[int]]],
    n_functions: int,
    n_scalars: int,
    stages: list[list[int]],
    value_of: dict[int, int],
) -> Blocks:
    """Blocks of the kept functions, stage by stage, then of all functions.

    Args:
        found: per row, functions, then kept ones: its first slot, tile values of all its slots.
        n_functions: at least BLOCK; the last block begins early so that it ends with the last function.
        n_scalars: tile values that are scalars, the first of all.
        stages: rows of kept functions whose tile values follow each other; a block with fewer than BLOCK of them
            runs into the next stage, which is written later.
        value_of: kept row -> its tile value.
    """
    groups = [
        (value_of[rows[k]] - n_scalars, True, rows[k : k + BLOCK])
        for rows in stages
        for k in range(0, len(rows), BLOCK)
    ]
    starts = [min(f, n_functions - BLOCK) for f in range(0, n_functions, BLOCK)]
    groups += [(f, False, list(range(f, f + BLOCK))) for f in starts]
    blocks: list[Block] = []
    places: list[tuple[int, int]] = []
    n_fours = 0
    for first, kept, rows in groups:
        values = sorted({value for row in rows for value in found[row][1]})
        at = {value: n_fours + k for k, value in enumerate(values)}
        for lane, row in enumerate(rows):
            slot, own = found[row]
            places += [(slot + k, BLOCK * at[value] + lane) for k, value in enumerate(own)]
        scalars = sum(value < n_scalars for value in values)
        own_values = values[:scalars] + [value - n_scalars for value in values[scalars:]]
        blocks.append(Block(first, kept, scalars, tuple(own_values), n_fours))
        n_fours += len(values)
    return Blocks(tuple(blocks), tuple(places), n_fours)
