"""CuPy backend: CUDA kernels in ``.cu`` files, management of device memory, and kernel launches."""
