"""Which potentials the tests of the generated CUDA run on: a choice of them, or with --every-kernel all there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_texts import SPECS, write_spec
from zoo import KINDS, QUIRKS, Frame, frames, quirk, zoo_file

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*/*.yaml"))}  # specifications, benchmarks
PUBLISHED = "Cu-PBE-core-rep"
ZOO = tuple(f"{kind}-s{seed}" for kind in KINDS for seed in (1, 2))
EVERY = (*ZOO, PUBLISHED, *QUIRKS, *EXAMPLES, *SPECS)

# The kernels of the other corner cases are the same text but for numbers, those of other seeds too.
CORNERS = (
    "acejl_one_sided",
    "acejl_pair",
    "asymmetric_bonds",
    "base",
    "cheb_linear",
    "core_underflow",
    "density_with_rin",
    "extra_radparameters",
    "fs_negative_rho",
    "fs_shifted_negative_rho",
    "legacy_no_inner_keys",
    "rank1_beyond_bond_nradbase",
    "test_sbessel",
    "test_zero",
    "zbl_dcut_in_zero",
    "zbl_wide",
)
KINDS_ONCE = tuple(f"{kind}-s1" for kind in KINDS)
SPECIFICATIONS = ("cuau", "si", "si_pair", "linear_si", *SPECS)
# Compared with the zoo alone: their C kernels take long to build, and no part of their CUDA is new.
WITHOUT_C = ("Cantor5-medium-s1", "Cu-medium-s1", "SiGe-medium-s1")
SOME = (*(name for name in KINDS_ONCE if name not in WITHOUT_C), *SPECIFICATIONS)
FEW = ("W-small-s1", "NiTi-zbl-s1", "cuau")  # one species, core repulsion, two species
SINGLE = ("W-small-s1", "NiTi-zbl-s1", "cuau", "tabulated")
# Times the limits of single precision, on structures harder than those of the zoo; the C kernels come no closer.
NOT_SINGLE = {
    **dict.fromkeys(("core_underflow", "odd_rcut_bins", "unsorted_elements", "si_o", "order5", "splined"), 3.0),
    **dict.fromkeys(("linear_cu", "linear_si", "synthetic_s"), 2.0),
    "fs_shifted_negative_rho": 30.0,  # sharp embedding
    PUBLISHED: 20.0,  # sums of 1e5 eV cancel to 1 eV
}


def names_for(config: pytest.Config, some: tuple[str, ...]) -> tuple[str, ...]:
    """`some`, or with --every-kernel all."""
    return EVERY if config.getoption("every_kernel") else some


def path_of(name: str, request: pytest.FixtureRequest) -> Path:
    """File of a potential of the zoo, one of its corner cases, an example or a small specification."""
    if name in SPECS:
        return write_spec(request.getfixturevalue("spec_folder"), name)
    if name in EXAMPLES:
        return EXAMPLES[name]
    if name == PUBLISHED:
        published: Path = request.getfixturevalue("copper")
        return published
    shared: Path = request.getfixturevalue("shared")
    return shared / "zoo" / "quirks" / f"{name}.yace" if name in QUIRKS else zoo_file(shared, name)


def references(name: str, shared: Path) -> list[Frame]:
    """Structures with trusted values of a potential of the zoo; none for specifications."""
    if name in QUIRKS:
        return [quirk(shared, name)]
    return frames(shared / "zoo" / name) if name in (*ZOO, PUBLISHED) else []
