"""Stage 1 for fitted potentials: readers of the PACE formats."""
