"""Alternating measurement: every round gives each contender one sample, so all of them see the same machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acegen.bench.contenders import Contender, Seconds

SAMPLE_SECONDS = 0.05  # a sample repeats the evaluation until it is about this long
_MOST_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples of one contender, seconds per evaluation; `clock` says which time counts."""

    samples: tuple[Seconds, ...]
    clock: str  # "cpu" for one thread, "wall" for several
    calls: int

    def times(self) -> list[float]:
        """Seconds of every sample."""
        return [getattr(sample, self.clock) for sample in self.samples]

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.times())

    @property
    def fastest(self) -> float:
        """Smallest seconds: least disturbed by other programs."""
        return min(self.times())


def alternate(
    contenders: Sequence[Contender],
    clocks: Sequence[str],
    repeats: int,
    between: Callable[[int], None] = lambda done: None,
) -> list[Timing]:
    """Sample all contenders in turn, `repeats` rounds.

    Args:
        contenders: what to time.
        clocks: "cpu" or "wall" for each.
        repeats: samples of each.
        between: called after every round with the number of rounds done.
    """
    calls = []
    for contender in contenders:
        contender.sample(1)
        once = contender.sample(1).wall
        calls.append(max(1, min(_MOST_CALLS, round(SAMPLE_SECONDS / max(once, 1e-7)))))
    samples: list[list[Seconds]] = [[] for _ in contenders]
    for done in range(repeats):
        for contender, n, kept in zip(contenders, calls, samples, strict=True):
            kept.append(contender.sample(n))
        between(done + 1)
    return [Timing(tuple(kept), clock, n) for kept, clock, n in zip(samples, clocks, calls, strict=True)]
