"""Compile a basis specification to a bundle: readable C with a manifest, which needs nothing of acegen any more.

python examples/01_compile.py [folder to write, default si.acegen]
"""

import sys
from pathlib import Path

import acegen

spec = Path(__file__).parent / "specs" / "si.yaml"
bundle = acegen.compile(spec, out=sys.argv[1] if len(sys.argv) > 1 else "si.acegen")

about = bundle.manifest
print(f"{about.name}: {', '.join(about.species)}, correlation order {about.correlation_order}, cutoff {about.cutoff} A")
for symbol, (many_body, pair) in zip(about.species, about.n_basis_per_species, strict=True):
    print(f"  {symbol}: {many_body} many-body functions, {pair} pair functions")
for stage, count in about.operations:
    print(f"  {stage:10} {count:6} multiply-adds per {'neighbour' if stage == 'edge' else 'atom'}")

print(f"{bundle.path}:")
for file in sorted(bundle.path.iterdir()):
    print(f"  {file.name:14} {file.stat().st_size:7} bytes")
