"""Stage 1 for fitted linear ACE models of other programs: ace-jax's `.npz` and ACEpotentials' `.json` files."""
