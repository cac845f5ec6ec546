"""Test tools: CUDA kernels on the processor."""
