"""Compiles every zoo kind and specification with nvcc, double and float, and compares with cuda_resources.json.

    python tests/record_cuda_resources.py [--write] [NAME ...]

`--write` replaces what is on record. Other architectures that this nvcc knows are only compiled,
without warnings or spills, with a few inputs.
The zoo is found beside the repository or in ACEGEN_SHARED, the published Cu potential in ACEGEN_CU_PBE.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from cuda_build import RECORD, Resources, build, check_limits, check_spills, compare, recorded, release
from cuda_cases import CudaSource
from zoo import KINDS, zoo_file

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = (("sm_90", "double"), ("sm_80", "double"), ("sm_90", "float"), ("sm_80", "float"))
OTHERS = ("sm_75", "sm_86", "sm_89", "sm_100", "sm_120")
ELSEWHERE = ("si", "cuau", "W-small-s1", "SiGe-medium-s1", "Cu-medium-s1")


def inputs() -> dict[str, Path]:
    """Every input by name."""
    found = {
        path.stem: path for folder in ("specs", "benchmarks") for path in (ROOT / "examples" / folder).glob("*.yaml")
    }
    shared = Path(os.environ.get("ACEGEN_SHARED", ROOT.parent / "shared"))
    if shared.is_dir():
        found |= {f"{kind}-s1": zoo_file(shared, f"{kind}-s1") for kind in KINDS}
    if "ACEGEN_CU_PBE" in os.environ:
        found["Cu-PBE-core-rep"] = Path(os.environ["ACEGEN_CU_PBE"])
    return dict(sorted(found.items()))


def compiled(name: str, source: CudaSource, folder: Path) -> dict[str, Resources]:
    """Resources of all variants, with a line for each."""
    found: dict[str, Resources] = {}
    for architecture, real in VARIANTS:
        where = f"{name} {architecture} {real}"
        built = build(source, architecture, folder, real)
        found[where] = built.resources
        largest = max(built.resources.items(), key=lambda item: item[1]["instructions"])
        registers = max(row["registers"] for row in built.resources.values())
        total = sum(row["instructions"] for row in built.resources.values())
        print(
            f"{where:34} {built.seconds:5.1f} s, {len(built.resources)} kernels, {total} instructions, "
            f"largest {largest[0]} {largest[1]['instructions']}, registers up to {registers}",
            flush=True,
        )
        check_limits(where, built.resources)
    if name in ELSEWHERE:
        for architecture in OTHERS:
            built = build(source, architecture, folder)
            check_spills(f"{name} {architecture}", built.resources)
            print(f"{name} {architecture}: {built.seconds:.1f} s", flush=True)
    return found


def main() -> int:
    """Exit status 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="replace what is on record")
    parser.add_argument("names", nargs="*", help="inputs, default: all")
    asked = parser.parse_args()
    of, failed, rows = release(), 0, recorded(release())
    for name, path in inputs().items():
        if asked.names and name not in asked.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = compiled(name, CudaSource.of(path), Path(folder))
                if asked.write:
                    rows |= found
                else:
                    for where, resources in found.items():
                        compare(where, resources, rows[where])
            except (AssertionError, KeyError) as error:
                failed += 1
                print(f"{name}: {error}", file=sys.stderr, flush=True)
        if asked.write:
            RECORD.write_text(json.dumps({"nvcc": of, "kernels": rows}, indent=1, sort_keys=True) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
