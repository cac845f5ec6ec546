"""Stage 2: a BasisSpec is enumerated into the internal model: channels, bodies, coupled rows, weights."""
