"""Stage 4 hand-over of the forward-mode kernel: tables and where they are used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.plan.design_blocks import NO_BLOCKS, Block, Blocks
from acegen.plan.types import Plan


@dataclass(frozen=True, slots=True, eq=False)
class DesignTable:
    """A static array of the forward-mode kernel."""

    name: str
    ctype: str  # "uint16_t", "uint32_t" or "real"
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class DesignPattern:
    """What the functions of one centre species see of one neighbour species; tables by name.

    A tile value is D_v of one amplitude v = (channel, m), those of a channel side by side, or, on hosts and behind
    them, the gradient of a function that others are made of.
    """

    neighbour: int
    n_channels: int
    n_amplitudes: int  # tile values that are derivatives of amplitudes
    n_scalars: int  # of these, amplitudes of degree 0: on hosts the first
    n_values: int  # all tile values
    n_stages: int  # chunks, after those of the functions, whose results are tile values themselves
    n_primitives: int  # radial functions of a slot, values; as many slopes follow
    n_terms: int  # products J D of all functions together
    channels: str  # per channel: l, number of radial functions it is made of
    primitives: str  # those, one channel after another
    coefficients: str  # and their coefficients
    chunks: str = ""  # for hosts, per chunk: first run, first member, first value; one more at the end
    runs: str = ""  # functions of a chunk with one number of slots and one first tile value: that number, how many
    members: str = ""  # those, in this order: first slot, which of the chunk
    values: str = ""  # per slot of a function, in this order: its tile value
    blocks: Blocks = NO_BLOCKS  # for hosts, functions side by side
    gradients: int = -1  # which of the plan's; -1: nothing of this species shows
    places: str = ""  # per slot that shows: it, where it goes in the fours
    first_four: int = 0  # fours of the neighbour species before
    functions: str = ""  # for cards, per function: first slot, first row; one more at the end
    rows: str = ""  # per slot of a function, one function after another: its tile value


@dataclass(frozen=True, slots=True, eq=False)
class DesignCentre:
    """Forward mode of one centre species; tables by name."""

    index: int
    n_functions: int
    n_kept: int  # functions that others are made of: computed first, their gradients tile values
    n_many_body: int
    first_column: int  # parameter of the first many-body row
    first_pair_column: int  # parameter of the first pair row
    n_slots: int  # numbers J of all functions
    n_buffer: int  # largest buffer of one function: its slots and the adjoints of its products
    operations: str
    numbers: str
    first: str
    slots: str
    patterns: tuple[DesignPattern, ...]  # [neighbour species]


@dataclass(frozen=True, slots=True, eq=False)
class DesignPlan:
    """The forward-mode kernel: the plan of the bare basis and the tables beside it."""

    plan: Plan
    tables: tuple[DesignTable, ...]
    chunk: int  # functions contracted before they are written to memory
    early_lines: int  # of every row of the next chunk that are fetched with the sums of one, not as it is written
    centres: tuple[DesignCentre, ...]
    n_parameters: int
    n_slots: int
    n_buffer: int
    n_values: int
    n_scalars: int  # most of these of one pattern
    n_vectors: int  # most other tile values
    n_fours: int  # of all neighbour species of a centre
    gradients: tuple[tuple[Block, ...], ...]  # of one neighbour, functions side by side; none: of a tile of neighbours
