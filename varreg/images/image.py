"""Scalar images: finite float32 voxels on a grid, and conversion to NIfTI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, InputError
from ..geometry.grid import Grid
from ..geometry.matrices import checked_spacing
from ..optimise.check import Check
from . import slices
from .no_data import filled, no_data_note, parts, values
from .stored import Stored
from .voxels import real_array, refuse_shape, shown_values
from .writable import Writable


@dataclass(frozen=True, eq=False, repr=False)
class Image(Writable):
    """A scalar image on a grid, made by `Image.from_array` or `as_image`.

    It behaves like the array of its values in ``np.asarray``, ``imshow``, indexing and arithmetic.

    Parameters
    ----------
    data : (*S) float32 array
        Finite voxels, C-contiguous, 2D or 3D.
    grid : Grid
        Grid of the voxels; for a slice of a volume in the in-plane world of `frame`.
    name : str
        File name, or "" for arrays.
    frame : (4, 4) array, optional
        For a 2D slice of a volume: in-plane world ``(a, b, offset along the normal, 1)`` in mm
        -> 3D world; the slice itself has offset 0.  None otherwise.
    volume_shape : tuple of int, optional
        Shape as stored if it differs, e.g. (n, m, 1); results are written back in it.
    slice_step : (3,) array, optional
        For a slice: world vector (mm) of one voxel across it, to write the same header.
    placed : bool
        Whether voxel sizes were given; for arrays and pictures without them 1 mm is assumed.
    valid : (*S) bool array, optional
        Voxels with data; elsewhere (NaN, transparent) `data` only continues them.  None if everywhere.
    checks : tuple of Check
        Warnings on reading, which are reported with the result.
    notes : tuple of str
        Changes on reading, one sentence each.

    Raises
    ------
    InputError
        If `data` is not such an array or does not have the shape of the grid.

    Examples
    --------
    >>> Image.from_array(np.eye(8), spacing=0.5).grid.extent.tolist()
    [4.0, 4.0]
    """

    data: np.ndarray
    grid: Grid
    name: str = ""
    frame: np.ndarray | None = None
    volume_shape: tuple[int, ...] | None = None
    slice_step: np.ndarray | None = None
    placed: bool = True
    valid: NDArray[np.bool_] | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        data = self.data
        usable = isinstance(data, np.ndarray) and data.dtype == np.float32
        if not (usable and data.flags.c_contiguous and data.shape == self.grid.shape):
            received = f"{data.dtype}, shape {data.shape}" if isinstance(data, np.ndarray) else data
            raise InputError(
                f"varreg.Image: `data` must be a C-contiguous float32 array of the grid's shape "
                f"{self.grid.shape}; got {received}. Use varreg.Image.from_array(...)."
            )
        valid = self.valid
        if valid is not None and (valid.shape != data.shape or valid.dtype != bool):
            raise InputError(
                f"varreg.Image: `valid` must be a bool array of shape {data.shape}; got {valid.dtype}, shape "
                f"{valid.shape}."
            )

    @classmethod
    def from_array(
        cls,
        array: Any,
        spacing: float | Sequence[float] | None = None,
        affine: np.ndarray | None = None,
        *,
        name: str = "",
    ) -> Image:
        """Make an image from an array.

        Parameters
        ----------
        array : (*S) array-like of real numbers
            2D, 3D, or 3D with one singleton axis (a slice).  A float32 array is not copied.
        spacing : float or sequence of floats, optional
            Voxel size in mm along each axis of `array`.
        affine : (d+1, d+1) array, optional
            Voxel -> world (RAS+ mm); (4, 4) for a slice of a volume.
        name : str
            Shown in messages and reports.

        Returns
        -------
        Image

        Raises
        ------
        InputError
            If the array is not an image or both `spacing` and `affine` are given.
        GeometryError
            If the spacing or the affine is invalid.

        Examples
        --------
        >>> Image.from_array(np.eye(8), spacing=(1.0, 2.0)).grid.spacing.tolist()
        [1.0, 2.0]
        """
        names = {"argument": "array", "function": "varreg.Image.from_array"}
        if spacing is not None and affine is not None:
            raise InputError(
                "varreg.Image.from_array: `spacing` and `affine` were both given; an affine "
                "includes the spacing, so give one."
            )
        voxels = real_array(array, **names)
        refuse_shape(voxels.shape, **names)
        if spacing is not None:
            sizes = checked_spacing(spacing, min(voxels.ndim, 3))
            affine = np.diag(np.append(sizes, 1.0))
        return image_of(Stored(voxels, affine, name, shown_values(array)), **names)

    @property
    def values(self) -> np.ndarray:  # type: ignore[override]
        """The voxels as float32 with NaN where there are no data, (*S); `data` itself if all voxels hold data."""
        return values(self.data, self.valid)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        shape = " x ".join(map(str, self.grid.shape))
        sizes = " x ".join(f"{size:.3g}" for size in self.grid.spacing)
        empty = "" if self.valid is None else f", {np.mean(~self.valid):.2g} of it without data"
        span = f"values {self.data.min():.4g} to {self.data.max():.4g}"
        return f"<varreg.Image{name}: {shape} voxels of {sizes} mm, {span}{empty}>"

    def holding(self, values: np.ndarray, name: str) -> Image:
        """An image with the same geometry and other voxels.

        Parameters
        ----------
        values : (*S) float32 array
            NaN where there are no data.
        name : str
            Shown in messages and reports.

        Returns
        -------
        Image
        """
        data, valid = parts(values)
        return replace(self, data=data, name=name, valid=valid, checks=(), notes=())


def image_of(stored: Stored, *, argument: str, function: str) -> Image:
    """Make an image from voxels as stored.

    Parameters
    ----------
    stored : Stored
        Of a shape that `varreg.images.voxels.refuse_shape` accepts; with (d+1, d+1) affine, or (4, 4)
        for a slice of a volume; None for spacing 1 mm and the origin at the first voxel.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        If no voxel is finite, or a value exceeds the range of float32.
    GeometryError
        If the affine is invalid.

    Examples
    --------
    >>> stored = Stored(np.eye(8)[None], np.eye(4))
    >>> image_of(stored, argument="moving", function="varreg.solve").volume_shape
    (1, 8, 8)
    """
    array, affine = stored.array, stored.affine
    space = array[..., 0] if array.ndim == 4 else array
    axis = space.shape.index(1) if 1 in space.shape else 2
    voxels = np.squeeze(space)
    frame = step = None
    try:
        if affine is None:
            grid = Grid.with_spacing(voxels.shape)
        elif voxels.ndim == 2 and np.shape(affine) == (4, 4):
            plane, frame, step = slices.split_affine(np.asarray(affine, np.float64), axis)
            grid = Grid(voxels.shape, plane)
        else:
            grid = Grid(voxels.shape, affine)
    except GeometryError as error:
        raise GeometryError(
            f"{function}: `{argument}` has no valid place in space. {error}"
        ) from error
    opaque = None if stored.opaque is None else stored.opaque.reshape(voxels.shape)
    data, valid = filled(voxels, opaque, argument=argument, function=function)
    notes = *stored.notes, *no_data_note(valid, argument)
    # A plain array is written as a volume, a 2D NIfTI file in its original shape.
    plain = array.ndim == 2 and frame is None
    shape = None if plain or array.ndim == data.ndim == 3 else array.shape
    placed = affine is not None
    return Image(data, grid, stored.name, frame, shape, step, placed, valid, stored.checks, notes)
