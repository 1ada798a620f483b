"""Every exception that varreg raises on purpose.

All derive from :class:`VarregError`, so ``except varreg.VarregError`` catches what the package
itself refuses; anything else that escapes is a defect worth reporting.
"""


class VarregError(Exception):
    """Base class of the package's own exceptions."""


class InputError(VarregError, ValueError):
    """An argument is unusable; the message names function, argument, what came and what to do."""


class GeometryError(InputError):
    """A grid or transform makes no sense in space (singular affine, slices that are not parallel)."""


class OverlapError(GeometryError):
    """The fields of view of the two images do not meet in world space."""


class FileError(VarregError, OSError):
    """A file cannot be read or written; what existed before is untouched."""


class DivergenceError(VarregError, ArithmeticError):
    """The descent met a state that is not finite; the message names stage, level and iteration."""


class BackendError(VarregError, ImportError):
    """A backend was asked for that is not installed; the message holds the pip line."""
