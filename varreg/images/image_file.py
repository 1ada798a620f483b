"""An image file with reading options, where its header is ambiguous."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InputError
from ..geometry.matrices import checked_spacing

#: Source of the affine in a NIfTI header: the affine matrix, the quaternion, or the voxel sizes only.
HEADERS = ("sform", "qform", "pixdim")


@dataclass(frozen=True)
class ImageFile:
    """An image file with reading options, accepted wherever an image path is.

    Parameters
    ----------
    path : str or PathLike
    header : {"sform", "qform", "pixdim"}, optional
        Part of a NIfTI header to be used: the affine matrix, the quaternion (whatever their codes), or the
        voxel sizes alone, array axes along world axes.  By default the sform, if its code is not 0, else the
        qform; if both are 0, voxel sizes with x from right to left, as nibabel guesses.
    spacing : float or (float, float), optional
        Pixel size of a picture in mm: of both axes, or of rows (down) and columns (across).  By default the value in a TIFF,
        and 1 mm in other pictures.  For a slide: at full resolution.
    level : int, optional
        Level of a slide (a pyramid in OME-TIFF or OME-Zarr), 0 is the full resolution, -1 the lowest.  By default the finest of
        at most 4 million pixels.
    channel : int, optional
        Channel of a slide, from 0.  By default the luminance of its colours.

    Raises
    ------
    InputError, GeometryError
        If an argument is invalid.

    Examples
    --------
    >>> import varreg
    >>> varreg.ImageFile("t1.nii.gz", header="qform").header
    'qform'
    >>> varreg.ImageFile("slide.png", spacing=0.0005).spacing
    (0.0005, 0.0005)
    """

    path: str | os.PathLike[str]
    header: str | None = None
    spacing: float | Sequence[float] | None = None
    level: int | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise InputError(
                f"varreg.ImageFile: `path` must be a path; got {type(self.path).__name__}."
            )
        if self.header is not None and self.header not in HEADERS:
            raise InputError(
                f"varreg.ImageFile: `header` must be one of {', '.join(map(repr, HEADERS))}; got "
                f"{self.header!r}."
            )
        for name in ("level", "channel"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise InputError(
                    f"varreg.ImageFile: `{name}` must be a whole number; got {value!r}."
                )
        if self.spacing is not None:
            sizes = checked_spacing(self.spacing, 2)
            object.__setattr__(self, "spacing", tuple(map(float, sizes)))

    @property
    def reading_options(self) -> dict[str, Any]:
        """The reading options that were given, without the path."""
        values = {part.name: getattr(self, part.name) for part in fields(self)[1:]}
        return {name: value for name, value in values.items() if value is not None}

    def __fspath__(self) -> str:
        return os.fsdecode(self.path)

    def __str__(self) -> str:
        return os.fsdecode(self.path)
