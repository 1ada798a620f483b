"""The result of a registration: map, warped image, energies, checks and provenance."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..images.image import Image
from ..io.result_fields import read_fields
from ..io.result_folder import save
from ..optimise.channel_report import ChannelReport
from ..optimise.check import Check, failed
from ..optimise.history import Energy, HeadMotion, Iteration, Level, StartReport, Stop
from ..optimise.model_choice import ModelChoice
from ..optimise.point_report import PointReport
from ..optimise.regularity_choice import RegularityChoice
from ..optimise.rigidity_report import RigidityReport
from ..options.names import SIMILARITIES
from ..options.options import Options
from .registered import Registered


@dataclass(frozen=True, eq=False, repr=False)
class Result(Registered):
    """The result of :func:`varreg.solve`.  ``print(result)`` gives a summary in words.

    The map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).

    Attributes
    ----------
    transform : Transform
        The map; most of its methods are also methods of the result.
    warped : Image
        The moving image on the fixed grid.
    fixed_name, moving_name : str
        File names of the images; "" for arrays.
    energy : Energy
        Energy at the end, on the last level.
    start_energy : Energy
        Energy with the header geometry, before registration.
    history : tuple of Iteration
        Every accepted step of every level.
    levels : tuple of Level
        End of every level.
    options : Options
        Options of the energy and its minimisation.
    smallest_determinant : float
        Certified lower bound on det(id + grad u) over every point, also between the voxels.
    overlap : float
        Fraction of the fixed voxels that map inside the moving image.
    provenance : dict
        Plain JSON values: ``varreg`` (version) and other versions, ``backend``, ``threads``,
        ``platform``, ``seconds`` (stage -> seconds; ``compilation`` is in no stage), ``call`` (argument -> Python source: images, affine model, masks,
        start and what else was given), and, if it was made on the command line, ``command``.
    fixed, moving : Image or None
        The registered images.  They are not saved: None after :meth:`load`.
    start : StartReport or None
        The refined map, and the steps of its preparation; None without a start.
    model : ModelChoice or None
        The chosen kind of map, and the reason, if `affine` or `deformable` left it open; else None.
    regularity : RegularityChoice or None
        Reason for a smooth or fine map, if the options left it open; else None.
    checks : tuple of Check
        Checks of the result at the end of the registration: name, value, limit, whether it passed,
        a sentence and a remedy; see :mod:`varreg.checks`.  Empty for a result of an earlier version.
    notes : tuple of str
        Changes of the images and masks on reading, one sentence each.
    channels : tuple of ChannelReport
        Contribution of each pair in a multi-channel registration; else empty.
    guides : tuple of PointReport
        Distance of each pair of matching points, if there are any; else empty.
    rigidity : RigidityReport or None
        Change of shape within rigid masks, if there are any and the map deforms; else None.
    motion : HeadMotion or None
        Motion of the head by u, and the estimated motion by further steps; None for a result of an earlier
        version, and without deformation.

    Raises
    ------
    InputError
        If the warped image is not on the fixed grid.
    """

    warped: Image
    fixed_name: str
    moving_name: str
    energy: Energy
    start_energy: Energy
    history: tuple[Iteration, ...]
    levels: tuple[Level, ...]
    options: Options
    smallest_determinant: float
    overlap: float
    provenance: dict[str, Any]
    fixed: Image | None = None
    moving: Image | None = None
    start: StartReport | None = None
    model: ModelChoice | None = None
    regularity: RegularityChoice | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    channels: tuple[ChannelReport, ...] = ()
    guides: tuple[PointReport, ...] = ()
    rigidity: RigidityReport | None = None
    motion: HeadMotion | None = None

    def __post_init__(self) -> None:
        if self.warped.grid.shape != self.transform.fixed.shape:
            raise InputError(
                f"varreg.Result: `warped` has shape {self.warped.grid.shape}, but the fixed grid "
                f"has {self.transform.fixed.shape}; warp the moving image by the transform."
            )

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that did not pass; each is a sentence and a remedy when printed."""
        return failed(self.checks)

    @property
    def stop(self) -> Stop | None:
        """Reason for the end of the last level; None if no level was run."""
        return self.levels[-1].stop if self.levels else None

    @property
    def similarity_name(self) -> str:
        """Name of the similarity in the energies; the affine stage mostly uses mutual information."""
        if len(set(self.options.similarities or ())) > 1:
            return "mean similarity"
        name = self.options.similarity
        alone = self.transform.nodes is None and name != "ssd"
        return SIMILARITIES["mi" if alone else name]

    @property
    def call(self) -> str:
        """Python code that repeats the registration; "" if nothing was minimised."""
        from ..report.repetition import call

        return call(self)

    @property
    def seconds(self) -> float:
        """Run time of all stages, excluding :attr:`compilation_seconds`."""
        seconds = self.provenance.get("seconds")
        if isinstance(seconds, dict):
            return float(sum(map(float, seconds.values()))) - self.compilation_seconds
        return sum(level.seconds for level in self.levels)

    @property
    def compilation_seconds(self) -> float:
        """Time for compiling kernels, or loading them from the cache on disk; negligible after the first call."""
        seconds = self.provenance.get("seconds")
        return float(seconds.get("compilation", 0.0)) if isinstance(seconds, dict) else 0.0

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the result to a folder, atomically.

        Parameters
        ----------
        path : str or PathLike
            The folder to be created, with ``result.json``, ``warped.nii.gz`` and ``u_nodes.nii.gz``.
        overwrite : bool
            Replace an existing result.

        Raises
        ------
        FileError
            If it exists or cannot be written; an existing folder is then unchanged.
        """
        save(self, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a result written by :meth:`save`, bitwise identical, without the two images.

        Parameters
        ----------
        path : str or PathLike
            The folder, or its ``result.json``.

        Raises
        ------
        FileError
            If it is absent, damaged, or of a later format.
        """
        return cls(**read_fields(path))

    def __str__(self) -> str:
        from .summary import summary

        return summary(self)


def load(path: str | os.PathLike[str]) -> Result:
    """Read a saved result; see :meth:`Result.load`."""
    return Result.load(path)
