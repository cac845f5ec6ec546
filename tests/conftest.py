"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data next to the checkout, or ACEGEN_SHARED; the test is skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("ACEGEN_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("reference data not found: set ACEGEN_SHARED to its folder")
    return folder
