"""NumPy backend, the reference implementation."""
