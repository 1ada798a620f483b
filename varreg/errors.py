"""Exceptions of varreg.

All derive from :class:`VarregError`, so that ``except varreg.VarregError`` catches all errors that the package
raises deliberately; any other exception is a defect worth reporting.
"""


class VarregError(Exception):
    """Base class of the package's own exceptions."""


class InputError(VarregError, ValueError):
    """An argument is invalid; the message names function, argument, given value and remedy."""


class GeometryError(InputError):
    """A grid or transform is geometrically invalid (singular affine, slices that are not parallel)."""


class OverlapError(GeometryError):
    """The fields of view of the two images do not overlap in world space."""


class FileError(VarregError, OSError):
    """A file cannot be read or written; an existing file is then unchanged."""


class DivergenceError(VarregError, ArithmeticError):
    """The descent reached a state that is not finite; the message names stage, level and iteration."""


class BackendError(VarregError, ImportError):
    """The requested backend is not installed; the message contains the pip command."""
