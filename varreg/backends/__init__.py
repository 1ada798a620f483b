"""Array kernels of the computations over voxels, in NumPy, Numba and CUDA.

They are independent of files, options and coordinate spaces, and import nothing from the rest of the package.  All
images are volumes: a two-dimensional image is a volume of one plane, and its maps do not displace the first axis.
"""
