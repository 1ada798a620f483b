"""The result of :func:`varreg.label`: labels, agreement of the atlases, and checks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..images.image import Image
from ..io.files import atomic_folder, write_image, write_json
from ..io.records import plain
from ..optimise.check import Check, failed, first_line, remedies
from ..transforms.transform import Transform

RECORD = "labelling.json"
#: Agreement of the labelled voxels below which the result is doubtful: mean; and of a single voxel.
DOUBTFUL, UNSURE = 0.6, 0.5
#: Smallest agreement of an atlas's labels with the result, relative to the median of the atlases.
ODD = 0.75
#: Fewest atlases that can outvote one.
FEW = 3


@dataclass(frozen=True, eq=False)
class Labelling:
    """The labels of an image.  ``print(labelling)`` gives a summary.

    Attributes
    ----------
    labels : (*S) integer array
        Labels on the grid of the image.
    agreement : (*S) float32 array
        Share of the total weight for the label, from 0 to 1: low where the label is uncertain.  It is not the probability
        that the label is correct, because atlases may have common errors.
    image : Image
    names : tuple of str
        Names of the atlases.
    method : {"local", "majority"}
    transforms : tuple of Transform
        Maps from the image to each atlas.
    checks : tuple of Check
    seconds : (float, float)
        Seconds of the registrations and of the fusion.
    """

    labels: NDArray[np.integer]
    agreement: NDArray[np.float32]
    image: Image
    names: tuple[str, ...]
    method: str
    transforms: tuple[Transform, ...]
    checks: tuple[Check, ...]
    seconds: tuple[float, float]

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return failed(self.checks)

    @property
    def volumes(self) -> dict[int, float]:
        """Volume of each label except 0, in mm^3 (for a slice, area in mm^2)."""
        names, counts = np.unique(self.labels, return_counts=True)
        voxel = float(np.prod(self.image.grid.spacing))
        return {
            int(name): float(count) * voxel
            for name, count in zip(names, counts, strict=True)
            if name != 0
        }

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write a folder atomically: ``labels.nii.gz``, ``agreement.nii.gz`` and ``labelling.json``.

        Parameters
        ----------
        path : str or PathLike
            Folder to be created.
        overwrite : bool
            Replace an existing labelling.

        Raises
        ------
        FileError
            If it exists and may not be replaced, or cannot be written.
        """
        with atomic_folder(path, overwrite=overwrite, marker=RECORD) as folder:
            write_image(folder / "labels.nii.gz", self.labels, self.image)
            write_image(folder / "agreement.nii.gz", self.agreement, self.image)
            write_json(folder / RECORD, self.content())

    def content(self) -> dict[str, object]:
        """All values except the arrays, as JSON."""
        return {
            "format": "varreg labelling",
            "varreg": __version__,
            "image": self.image.name,
            "atlases": list(self.names),
            "method": self.method,
            "warnings": [str(check) for check in self.warnings],
            "checks": [plain(check) for check in self.checks],
            "volumes": self.volumes,
            "mean_agreement": mean_agreement(self.labels, self.agreement),
            "seconds": list(self.seconds),
        }

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.image.grid.shape))
        unsure = float((self.agreement[self.labels != 0] < UNSURE).mean()) if self.volumes else 0.0
        lines = [
            first_line(self.checks),
            remedies(self.checks),
            f"{len(self.volumes)} labels of {self.image.name or 'the image'}, {shape} voxels, by {len(self.names)} atlases "
            f"({self.method}).",
            f"Mean agreement {mean_agreement(self.labels, self.agreement):.2f} where something is labelled; below {UNSURE:g} in "
            f"{100 * unsure:.2g} % of it.",
            f"{self.seconds[0]:.1f} s for the registrations, {self.seconds[1]:.1f} s for the fusion.",
        ]
        return "\n".join(line for line in lines if line)


def mean_agreement(labels: NDArray[np.integer], agreement: NDArray[np.float32]) -> float:
    """Mean agreement of the labelled voxels; 0 if there are none."""
    shown = labels != 0
    return float(agreement[shown].mean()) if shown.any() else 0.0


def labelling_checks(
    names: Sequence[str], fused: NDArray[np.integer], agreement: NDArray[np.float32],
    labels: Sequence[NDArray[np.integer]], warned: Sequence[tuple[str, ...]],
) -> tuple[Check, ...]:  # fmt: skip
    """Checks of fused labels.

    Parameters
    ----------
    names : sequence of str
    fused, agreement : (*S) arrays
    labels : sequence of (*S) arrays
        Warped label map of each atlas.
    warned : sequence of tuple of str
        Warnings of each registration.
    """
    mean = mean_agreement(fused, agreement)
    warnings = [(name, each[0]) for name, each in zip(names, warned, strict=True) if each]
    first = f"; the first, {warnings[0][0]}: {warnings[0][1]}" if warnings else "."
    return (
        Check(
            "agreement", mean, DOUBTFUL, mean >= DOUBTFUL,
            f"The mean agreement of the atlases is {mean:.2f}.",
            "Inspect the agreement map and the registrations of the atlases; use more atlases, or more similar ones.",
        ),
        _odd(names, fused, labels),
        Check(
            "registrations", float(len(warnings)), 0.0, not warnings,
            f"{len(warnings)} of {len(names)} registrations have warnings{first}",
            "Register these atlases one by one (varreg register) and inspect the report.",
        ),
        Check(
            "number of atlases", float(len(names)), float(FEW), len(names) >= FEW,
            f"There {'is one atlas' if len(names) == 1 else f'are {len(names)} atlases'}.",
            "Use at least three: two atlases have no majority, and the agreement of a single one is meaningless.",
        ),
    )  # fmt: skip


def _odd(
    names: Sequence[str], fused: NDArray[np.integer], labels: Sequence[NDArray[np.integer]]
) -> Check:
    """Check for atlases that deviate from the fused labels much more than the others."""
    shares = []
    for each in labels:
        either = (fused != 0) | (each != 0)
        shares.append(float((fused == each)[either].mean()) if either.any() else 0.0)
    middle = float(np.median(shares))
    limit = ODD * middle
    odd = [f"{n} ({s:.2f})" for n, s in zip(names, shares, strict=True) if s < limit]
    description = f"only of {', '.join(odd)}" if odd else f"from {min(shares):.2f}"
    return Check(
        "atlases", min(shares), limit, not odd,
        f"The share of voxels in which an atlas has the fused label is {description} (median {middle:.2f}).",
        "Inspect the registrations of these atlases, and exclude them if they failed.",
    )  # fmt: skip
