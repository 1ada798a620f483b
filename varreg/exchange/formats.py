"""Names of formats, in a module without imports for a fast start of the command line."""

#: Values of `format` in :func:`varreg.read_transform`.
FORMATS = ("itk", "ants", "greedy", "fsl", "elastix", "x5", "numpy", "result")

#: Values of `to` in :func:`varreg.write_transform`.
TARGETS = ("itk", "ants", "fsl", "greedy", "x5", "numpy")
