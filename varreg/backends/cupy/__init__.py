"""The CuPy backend: CUDA kernels in ``.cu`` files, and the code that holds images on the device and launches them."""
