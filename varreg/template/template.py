"""The result of :func:`varreg.build_template`: the template, the maps to the participants, and the history of rounds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.image import Image
from ..optimise.check import Check, failed, first_line, remedies
from ..optimise.lengths import length
from ..options.options import Options
from ..transforms.transform import Transform


@dataclass(frozen=True)
class Round:
    """Summary of one round.

    Attributes
    ----------
    kind : {"translation", "rigid", "similarity", "affine", "deformable"}
    moved : float
        Mean displacement (mm, over the head) of the template by the mean map, i.e. the bias before this round.
    distance : float
        Mean displacement (mm) of the template's points by u, in addition to the affine maps.
    sharpness : float
        Mean gradient magnitude of the template, relative to that of the participants' warped images.
    likeness : tuple of float
        Correlation of each participant's warped image with the template over the head, mean over the contrasts.
    dice : float or None
        Mean Dice overlap between participants over their labels, if given.
    seconds : float
    """

    kind: str
    moved: float
    distance: float
    sharpness: float
    likeness: tuple[float, ...]
    dice: float | None
    seconds: float

    def __str__(self) -> str:
        overlap = "" if self.dice is None else f", Dice between people {self.dice:.3f}"
        return (
            f"{self.kind}: the mean map moved it by {length(self.moved)} mm; people are {length(self.distance)} mm away, "
            f"correlation {np.mean(self.likeness):.3f}, sharpness {self.sharpness:.2f}{overlap} ({self.seconds:.1f} s)"
        )


@dataclass(frozen=True, eq=False)
class Template:
    """The mean of a group in shape and intensity.  ``print(template)`` gives a summary.

    Attributes
    ----------
    images : tuple of Image
        One image per contrast; ``valid`` is False where fewer than half of the participants have data.
    names : tuple of str
        Names of the participants.
    transforms : tuple of Transform
        Maps from the template (fixed) to each participant (moving); their mean is the identity.
    rounds : tuple of Round
    options : Options
        Options of the registrations.
    checks : tuple of Check
        Checks of the template.
    notes : tuple of str
    """

    images: tuple[Image, ...]
    names: tuple[str, ...]
    transforms: tuple[Transform, ...]
    rounds: tuple[Round, ...]
    options: Options
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """The template of the first contrast."""
        return self.images[0]

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return failed(self.checks)

    def warp(self, images: Sequence[Any], **settings: Any) -> list[NDArray[Any]]:
        """Warp one image of every participant to the template.

        Parameters
        ----------
        images : sequence
            Images in the order of `names`.
        **settings
            As for :meth:`Transform.warp`.

        Returns
        -------
        list of (*S) arrays
            On the grid of the template.
        """
        return [
            each.warp(image, **settings)
            for each, image in zip(self.transforms, images, strict=True)
        ]

    def warp_labels(self, labels: Sequence[Any], rule: str = "linear") -> list[NDArray[Any]]:
        """Warp the label map of every participant to the template.

        Parameters
        ----------
        labels : sequence
            Label maps in the order of `names`.
        rule : {"linear", "nearest"}
            See :meth:`Transform.warp_labels`.

        Returns
        -------
        list of (*S) integer arrays
            On the grid of the template.
        """
        return [
            each.warp_labels(label, rule)
            for each, label in zip(self.transforms, labels, strict=True)
        ]

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the template to a folder, atomically.

        It contains ``template.nii.gz`` (``template-2.nii.gz`` ... for further contrasts), ``shown.nii.gz``,
        ``maps/NAME.nii.gz`` (ITK displacement fields, template -> participant) and ``template.json``.

        Parameters
        ----------
        path : str or PathLike
            Folder to be created.
        overwrite : bool
            Replace an existing template.

        Raises
        ------
        FileError
            If it exists and may not be replaced, or cannot be written.
        """
        from .files import save

        save(self, path, overwrite)

    def __str__(self) -> str:
        grid = self.image.grid
        size = " x ".join(map(str, grid.shape))
        spacing = " x ".join(f"{s:.3g}" for s in grid.spacing)
        contrasts = "" if len(self.images) == 1 else f" in {len(self.images)} contrasts"
        lines = [
            first_line(self.checks),
            remedies(self.checks),
            f"Template of {len(self.names)} people{contrasts}, {size} voxels of {spacing} mm.",
            *self.notes,
            "Rounds:",
            *(f"  {number}. {each}." for number, each in enumerate(self.rounds, 1)),
            "Its maps go from the TEMPLATE to the people (world mm, RAS+); their mean is the identity.",
        ]
        return "\n".join(line for line in lines if line)
