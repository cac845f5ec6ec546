"""A progress bar on stderr for long work; says nothing when stderr is not a terminal."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType

_WIDTH = 24
_PERIOD = 0.1  # s between two drawings
_CLEAR = "\r\x1b[K"


_MANY = 5_000  # functions per species; these take 5 to 10 s to read and plan


class Progress:
    """Bar over `total` steps: `with Progress(10) as bar: bar.step("next")`.

    A step whose duration is roughly known may fill its part of the bar while it runs: step(text, seconds=...).
    """

    def __init__(self, total: int) -> None:
        self._total, self._done, self._text = max(total, 1), 0, ""
        self._began, self._expected = time.monotonic(), 0.0
        self._shown = sys.stderr.isatty()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def __enter__(self) -> Progress:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown:
            self._stop.set()
            self._thread.join()
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    def step(self, text: str, seconds: float = 0.0, done: int | None = None) -> None:
        """Begin the step after the last one (or after `done` steps), expected to take `seconds`."""
        self._done = self._done + bool(self._text) if done is None else done
        self._text, self._began, self._expected = text, time.monotonic(), seconds

    def say(self, text: str) -> None:
        """Print a line to stdout without tearing the bar."""
        with self._lock:
            if self._shown:
                print(_CLEAR, end="", file=sys.stderr, flush=True)
            print(text, flush=True)  # a log shows it now, not when the command ends

    def warn(self, text: str) -> None:
        """Print a line to stderr without tearing the bar; also where stderr is no terminal."""
        with self._lock:
            print(f"{_CLEAR if self._shown else ''}acegen: {text}", file=sys.stderr, flush=True)

    def warn_if_large(self, path: Path) -> None:
        """Say so at once when a specification has so many functions that it will take long.

        Raises:
            SpecError: the file breaks a rule, or has more functions than it allows.
        """
        from acegen.inputs import count_functions

        count = count_functions(path)
        if count > _MANY:
            self.warn(f"{path}: {count:,} functions per species, a large basis: this may take minutes")

    def _redraw(self) -> None:
        while not self._stop.wait(_PERIOD):
            part = min(0.95, (time.monotonic() - self._began) / self._expected) if self._expected > 0.0 else 0.0
            share = min(1.0, (self._done + part) / self._total)
            full = int(share * _WIDTH)
            with self._lock:
                bar = f"{_CLEAR}[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} {self._text[:60]}"
                print(bar, end="", file=sys.stderr, flush=True)
