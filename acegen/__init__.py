"""acegen: a code-generating compiler for the Atomic Cluster Expansion."""
