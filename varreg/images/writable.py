"""Export of an image: files, NIfTI, and the image objects of other libraries."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..geometry.grid import Grid
from . import slices
from .array_like import ArrayLike
from .foreign import is_foreign, like

if TYPE_CHECKING:
    import nibabel


class Writable(ArrayLike):
    """Export methods of an image; the attributes are those of :class:`varreg.Image`."""

    grid: Grid
    frame: np.ndarray | None
    volume_shape: tuple[int, ...] | None
    slice_step: np.ndarray | None

    @property
    def volume_affine(self) -> np.ndarray:
        """Voxel -> world (mm) of the volume as written, (4, 4)."""
        if self.grid.dim == 3:
            return self.grid.affine
        frame = np.eye(4) if self.frame is None else self.frame
        step = frame[:3, 2] if self.slice_step is None else self.slice_step
        return slices.join_affine(self.grid.affine, frame, step, self._slice_axis)

    def to_nifti(self, array: np.ndarray | None = None) -> nibabel.Nifti1Image:
        """Make a NIfTI image on this grid, in the shape in which this image was stored.

        Parameters
        ----------
        array : (*S) array, optional
            Values to store instead of the image's voxels; integer labels keep their type.

        Returns
        -------
        nibabel.Nifti1Image
            A plain 2D image becomes a volume (n, m, 1).

        Raises
        ------
        InputError
            If `array` does not have the grid's shape or is not of real numbers.

        Examples
        --------
        >>> import varreg
        >>> varreg.Image.from_array(np.eye(8)).to_nifti().shape
        (8, 8, 1)
        """
        from .nifti import nifti_image, storable

        voxels = self.values if array is None else np.asarray(array)
        if voxels.shape != self.grid.shape:
            raise InputError(
                f"varreg.Image.to_nifti: `array` must have the image's shape {self.grid.shape}; "
                f"got {voxels.shape}."
            )
        voxels = storable(voxels, function="varreg.Image.to_nifti")
        return nifti_image(voxels.reshape(self.volume_shape or self.shape_3d), self.volume_affine)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the image to a file, atomically.

        Parameters
        ----------
        path : str or PathLike
            ``.nii .nii.gz .mgh .mgz``, or for 2D ``.png .tif .tiff``.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        InputError, FileError
            If the file type cannot hold it, or the file exists or cannot be written.
        """
        # file formats depend on images; this convenience method imports them only when called
        files = importlib.import_module("varreg.io.files")
        files.write_image(path, self.values, like=self, overwrite=overwrite)

    def like(self, other: Any) -> Any:
        """The image as an object of the class of another image, NaN where there are no data.

        Parameters
        ----------
        other : itk.Image, SimpleITK.Image, ANTsImage, MetaTensor, nibabel image, Image or array
            The original input, e.g. the fixed image for ``result.warped``.

        Returns
        -------
        object
            Of that class, with the geometry of this image.

        Examples
        --------
        >>> import varreg
        >>> type(varreg.Image.from_array(np.eye(8)).like(np.zeros(1))).__name__
        'ndarray'
        """
        if isinstance(other, Writable):
            return self
        if hasattr(other, "dataobj"):
            return self.to_nifti()
        if not is_foreign(other):
            return self.values
        if self.frame is None:
            return like(self.values, self.grid.affine, other)
        return like(self.values.reshape(self.shape_3d), self.volume_affine, other)

    @property
    def _slice_axis(self) -> int:
        """The array axis of the volume perpendicular to the slice."""
        shape = self.volume_shape or ()
        return shape.index(1) if 1 in shape[:3] else 2

    @property
    def shape_3d(self) -> tuple[int, ...]:
        """Shape with the singleton axis of a slice, three numbers."""
        shape = list(self.grid.shape)
        if len(shape) == 2:
            shape.insert(self._slice_axis, 1)
        return tuple(shape)
