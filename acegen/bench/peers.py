"""Peers: which models they can evaluate, and their processes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from acegen.bench.contenders import Seconds
from acegen.errors import InputError

NATIVE = "-native"  # ends the name of a peer that was built with the flags of this processor
NAMES = ("pyace", f"pyace{NATIVE}", "ace-jax")
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class PeerProcess:
    """One peer evaluating one structure in its own Python; a contender. Close it, or use `with`."""

    def __init__(self, name: str, python: str, request: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Start the process, load the model and evaluate once.

        Args:
            name: of `NAMES`.
            python: interpreter that has the peer installed.
            request: what `peer_server` needs beside the arrays.
            arrays: structure, graph and weights.

        Raises:
            InputError: the interpreter cannot be run, the peer is not installed there or refuses the model.
        """
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="acegen-peer-")
        script = Path(__file__).with_name("peer_server.py")
        try:
            self._process = subprocess.Popen(
                [python, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **_ONE_THREAD},
            )
        except OSError as error:
            self._folder.cleanup()
            option = "--native-python" if name.endswith(NATIVE) else "--peer-python"
            raise InputError(f"{option}: {python} cannot be run ({error.strerror})") from error
        structure, results = Path(self._folder.name, "structure.npz"), Path(self._folder.name, "results.npz")
        np.savez(structure, **arrays)  # type: ignore[arg-type]
        try:
            paths = {"arrays": str(structure), "results": str(results)}
            self.about = self._ask({"peer": name.removesuffix(NATIVE), **paths, **request})
            with np.load(results) as content:
                self.results = {key: np.asarray(content[key]) for key in content}
        except BaseException:
            self.close()
            raise

    @property
    def label(self) -> str:
        """Name of the peer."""
        return self._name

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations, measured by the peer's own process."""
        answer = self._ask({"calls": calls})
        return Seconds(answer["cpu"] / calls, answer["wall"] / calls)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise InputError(f"{self._name}: its process ended without an answer (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(f"{self._name}: {answer['error']}")
        return answer
