"""Numba backend: compiled kernels for the CPU."""
