"""Array kernels, once in NumPy and once in Numba: the only code that visits every voxel.

They know nothing of files, options or spaces, and import nothing of the package.  All of them see
volumes: a two-dimensional image is a volume with one plane, and its maps leave the first axis alone.
"""
