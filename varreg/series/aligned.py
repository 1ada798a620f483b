"""The result of aligning an image series: a map for every volume, motion parameters and checks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.arrays import Array
from ..backends.compilation import duration_text
from ..geometry.grid import Grid
from ..optimise.check import Check, failed, first_line, remedies
from ..transforms.transform import Transform
from .bvectors import rotated
from .folder import read_fields, save_series
from .motion import Head, framewise_displacement, mean_motion, motion_parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class AlignedSeries:
    """Motion of every volume of a series.

    Attributes
    ----------
    grid : Grid
        Grid of the volumes and of the reference.
    affines : (n, 4, 4) array
        Map of each volume: reference world -> volume world (mm, RAS+); the point x of the head in the reference is at
        ``affines[k] @ x`` in volume k.
    model : {"rigid", "affine"}
    reference : "mean" or int
        Reference of the alignment.
    head : Head
        Centre of mass and second moments of the mask.
    energies, start_energies : (n,) array
        Minus the mutual information, in nats, under the maps and without motion.
    in_view : (n,) array
        Fraction of the head inside each volume.
    given_bvecs : (3, n) array or None
        Directions of diffusion weighting as given; :attr:`bvecs` are those of the aligned volumes.
    name : str
        File name of the series, or "".
    step : float
        Repetition time in seconds; 0 if unknown.
    checks : tuple of Check
    notes : tuple of str
    provenance : dict
        Version, threads, seconds, and the seconds of ``compilation`` separately.
    series : Any
        The input series, which is read again for writing; None in a loaded result.
    """

    grid: Grid
    affines: Array
    model: str
    reference: str | int
    head: Head
    energies: Array
    start_energies: Array
    in_view: Array
    given_bvecs: Array | None = None
    name: str = ""
    step: float = 0.0
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    series: Any = field(default=None, repr=False)

    @property
    def count(self) -> int:
        """Number of volumes."""
        return len(self.affines)

    @cached_property
    def parameters(self) -> Array:
        """trans_x, trans_y, trans_z (mm), rot_x, rot_y, rot_z (radians) of every volume, (n, 6).

        Of the map that corrects the volume, in the convention of FSL and fMRIPrep: :mod:`varreg.series.motion`.
        """
        return motion_parameters(self.affines, self.grid, self.head.centre)

    @cached_property
    def framewise_displacement(self) -> Array:
        """Framewise displacement of Power et al. (2012) with a sphere of 50 mm, (n,) in mm; NaN for the first volume."""
        return framewise_displacement(self.parameters)

    @cached_property
    def motion(self) -> Array:
        """Root mean square displacement of the head relative to the reference, (n,) in mm."""
        return mean_motion(self.affines, self.head)

    @property
    def bvecs(self) -> Array | None:
        """b-vectors of the aligned volumes in FSL's convention, (3, n), if they were given."""
        given = self.given_bvecs
        return None if given is None else rotated(given, self.affines, self.grid)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return failed(self.checks)

    def transform(self, number: int) -> Transform:
        """The map of one volume: reference -> volume."""
        return Transform(self.grid, self.grid, self.affines[number])

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        interpolation: str = "cubic",
        threads: int | None = None,
        progress: bool | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write all results to a folder, which :func:`varreg.load_series` and ``varreg apply`` read.

        Parameters
        ----------
        path : str or PathLike
            The folder to be created.
        interpolation : {"cubic", "linear", "nearest"}
            Interpolation of the aligned series.
        threads : int, optional
            Number of volumes that are resampled in parallel. All available by default.
        progress : bool, optional
            Whether to show a progress bar; by default on a terminal only.
        overwrite : bool
            Replace an existing folder.
        """
        save_series(self, path, interpolation, threads, progress, overwrite)

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> Figure:
        """Draw rotations, translations and framewise displacement.

        Parameters
        ----------
        path : str or PathLike, optional
            File for the figure; ends in .png, .pdf or .svg.
        overwrite : bool
            Replace an existing file.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ..report.plots.motion import motion_figure
        from .checks import DISPLACED

        numbers = self.parameters, self.framewise_displacement, DISPLACED
        return motion_figure(*numbers, self.name, path, overwrite=overwrite)

    def __str__(self) -> str:
        return summary(self)


def summary(result: AlignedSeries) -> str:
    """The text that ``print(result)`` shows."""
    shape = " x ".join(map(str, result.grid.shape))
    spacing = " x ".join(f"{size:.3g}" for size in result.grid.spacing)
    onto = "their mean" if result.reference == "mean" else f"volume {result.reference}"
    motion, jumps = result.motion, result.framewise_displacement[1:]
    parameters = np.abs(result.parameters)
    turn = np.rad2deg(parameters[:, 3:].max())
    known = result.provenance
    lines = [
        first_line(result.checks),
        remedies(result.checks),
        f"{result.name or 'The series'}: {result.count} volumes, {shape} voxels of {spacing} mm, were brought onto {onto} "
        f"by {result.model} maps.",
        *result.notes,
        f"Motion: {motion.mean():.2g} mm on average (root mean square over the head), {motion.max():.2g} mm at most, "
        f"volume {int(motion.argmax())}; shifts up to {parameters[:, :3].max():.2g} mm, rotations up to {turn:.2g} degrees.",
        f"Framewise displacement: {jumps.mean():.2g} mm on average, {jumps.max():.2g} mm at most, volume "
        f"{int(jumps.argmax()) + 1}.",
        "" if result.given_bvecs is None else "The b-vectors were rotated with the volumes.",
        f"varreg {known.get('varreg', '')}, {known.get('threads', '?')} threads, "
        f"{duration_text(known.get('seconds', 0.0), known.get('compilation', 0.0))}.",
        "Each map maps points of the REFERENCE to a VOLUME (world mm, RAS+).",
    ]  # fmt: skip
    return "\n".join(line for line in lines if line)


def load_series(path: str | os.PathLike[str]) -> AlignedSeries:
    """The aligned series written by :meth:`AlignedSeries.save` or ``varreg series``, without its images.

    Parameters
    ----------
    path : path
        The folder, or its ``series.json``.

    Returns
    -------
    AlignedSeries
        With bitwise identical maps.

    Raises
    ------
    FileError
        If it is absent or damaged; the message gives the reason.
    """
    return AlignedSeries(**read_fields(path))
