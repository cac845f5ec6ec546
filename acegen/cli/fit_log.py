"""What `acegen fit` says while it works: a bar on a terminal, lines in a log, what it found in both."""

from __future__ import annotations

import sys
import time

from acegen.cli.output import seconds_text
from acegen.cli.progress import Progress
from acegen.fitting.rows import Finding

PERIOD = 10.0  # s between two lines of one stage in a log


class FitLog:
    """Progress of a fit: findings are printed at once, and where there is no bar so are stages, with the time taken.

    Args:
        progress: bar of `steps` steps.
        quiet: print nothing, for stdout belongs to a report.
    """

    def __init__(self, progress: Progress, steps: int, quiet: bool) -> None:
        self._progress, self._steps, self._quiet = progress, steps, quiet
        self._lines = not sys.stderr.isatty()
        self._began = time.monotonic()
        self._stage, self._printed = "", -PERIOD

    def __call__(self, text: str, fraction: float) -> None:
        if not isinstance(text, Finding):
            self._progress.step(text, done=round(self._steps * fraction))
        if self._quiet:
            return
        if isinstance(text, Finding):
            self._progress.say(text)
        elif self._lines and self._due(text):
            self._progress.say(f"{text} ({seconds_text(time.monotonic() - self._began)})")

    def _due(self, text: str) -> bool:
        """Whether a line begins a stage, or the last one is long ago."""
        stage, now = text.partition(" of structure ")[0], time.monotonic()
        due = stage != self._stage or now - self._printed >= PERIOD
        if due:
            self._stage, self._printed = stage, now
        return due
