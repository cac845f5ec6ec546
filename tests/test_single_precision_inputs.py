"""Every kind of fitted potential can be written in single precision."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo import QUIRKS

from acegen.compiler import compile_files


@pytest.mark.parametrize("name", QUIRKS)
def test_every_quirk_compiles_in_single_precision(shared: Path, name: str) -> None:
    """Also families without a cutoff of their own, whose order-1 functions become tables up to that of the bond."""
    compiled = compile_files(shared / "zoo" / "quirks" / f"{name}.yace", "float32")
    assert compiled.manifest.precision == "float32"
