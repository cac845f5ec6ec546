"""Compiled models shared by all tests of a run: each kernel is generated and built once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import acegen
from acegen.compiler import compile_bundle
from acegen.runtime.model import Model

Request = tuple[Path, str | None, str, str]


class Kernels:
    """Generates bundles in this thread and builds them in two others, so that C compiler and tests overlap."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._bundles: dict[Request, Path] = {}
        self._models: dict[Request, Future[Model]] = {}

    def bundle(self, path: Path, form: str = "auto", products: str = "auto", precision: str | None = None) -> Path:
        """Bundle folder of an input, written when it is asked for the first time."""
        key = (path, precision, form, products)
        if key not in self._bundles:
            folder = self._folder / f"{len(self._bundles)}-{path.stem}"
            compile_bundle(path, folder, precision, form, products)
            self._bundles[key] = folder
        return self._bundles[key]

    def start(
        self, path: Path, precision: str | None = None, form: str = "auto", products: str = "auto"
    ) -> Future[Model]:
        """Begin to build; the same request gives the same model."""
        key = (path, precision, form, products)
        if key not in self._models:
            folder = self.bundle(path, form, products, precision)
            self._models[key] = self._pool.submit(acegen.load, folder, precision=precision, threads=1)
        return self._models[key]

    def __call__(self, path: Path, precision: str | None = None, form: str = "auto", products: str = "auto") -> Model:
        """The model with one thread, in the arithmetic of the bundle unless `precision` says otherwise."""
        return self.start(path, precision, form, products).result()

    def close(self) -> None:
        """Forget what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)
