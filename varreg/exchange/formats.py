"""The names of formats, apart from everything else so that the command line starts fast."""

#: What `format` of :func:`varreg.read_transform` may be.
FORMATS = ("itk", "ants", "greedy", "fsl", "elastix", "x5", "numpy", "result")

#: What `to` of :func:`varreg.write_transform` may be.
TARGETS = ("itk", "ants", "fsl", "greedy", "x5", "numpy")
