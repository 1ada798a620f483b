"""The built-in demo: a phantom pair, its registration, and the registration error."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .phantom.accuracy import ErrorSummary, mean_dice
from .phantom.pairs import DeformedPair, deformed_pair

if TYPE_CHECKING:
    from ..options.options import Options
    from ..results.result import Result

SHAPES = {2: (224, 224), 3: (96, 112, 96)}
RESULT, PICTURE, FIXED, MOVING = "result", "overview.png", "fixed.nii.gz", "moving.nii.gz"
REPORT = "demo.json"  # also identifies a folder that may be replaced


@dataclass(frozen=True)
class DemoReport:
    """Result of the demo; ``print(report)`` gives a summary.

    Attributes
    ----------
    output : Path
        The folder with the pair, the result and the figure.
    seed : int
        Seed of the phantom.
    shape : tuple of int
        (*S) of both images.
    error_before, error_after : ErrorSummary
        Target registration error over the head, in voxels.
    dice_before, dice_after : float
        Dice overlap of the tissues, mean over tissues.
    folds : int
        Number of voxels with a determinant at or below 0.
    smallest_determinant : float
        Lower bound on det(id + grad u) at every point, also between voxels.
    seconds : float
        Run time of the registration, without compilation of kernels.
    """

    output: Path
    seed: int
    shape: tuple[int, ...]
    error_before: ErrorSummary
    error_after: ErrorSummary
    dice_before: float
    dice_after: float
    folds: int
    smallest_determinant: float
    seconds: float

    @property
    def picture(self) -> Path:
        """Path of the overview figure."""
        return self.output / PICTURE

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        folds = "does not fold anywhere" if self.folds == 0 else f"folds at {self.folds} voxels"
        return (
            f"A T1-like and a T2-like image of one artificial brain ({size} voxels, seed "
            f"{self.seed}) were misaligned by a known map and registered in "
            f"{self.seconds:.1f} s. Mean distance to the true map, in voxels: "
            f"{self.error_before} before, {self.error_after} after. Tissue overlap (mean "
            f"Dice): {self.dice_before:.3f} before, {self.dice_after:.3f} after. The map "
            f"{folds} (det J at least {self.smallest_determinant:.3f} at every point)."
        )


def run_demo(
    output: str | os.PathLike[str],
    *,
    dim: int = 2,
    seed: int = 0,
    shape: tuple[int, ...] | None = None,
    options: Options | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
) -> DemoReport:
    """Register a phantom with known ground truth; write the pair, the result and a figure.

    Parameters
    ----------
    output : path
        Folder to be created, atomically.
    dim : {2, 3}
        A slice of 224 x 224 or a volume of 96 x 112 x 96 voxels.
    seed : int
        Seed of the phantom and of the map, at least 0.
    shape : tuple of int, optional
        Other shape, at least 32 per axis; its length then determines the dimension instead of `dim`.
    options, threads, progress
        As for :func:`varreg.solve`.
    overwrite : bool
        Whether to replace a folder written by an earlier demo.

    Returns
    -------
    DemoReport

    Raises
    ------
    varreg.errors.InputError
        If an argument is invalid.
    varreg.errors.FileError
        If `output` exists or cannot be written; checked before any computation.

    Examples
    --------
    >>> from varreg.data.demo import run_demo
    >>> print(run_demo("varreg-demo"))  # doctest: +SKIP
    """
    from ..api import solve
    from ..io.files import atomic_folder, write_json

    shape = _checked(dim, seed, shape)
    with atomic_folder(output, overwrite=overwrite, marker=REPORT) as folder:
        pair = deformed_pair(shape, np.random.default_rng(seed))
        result = solve(pair.moving, pair.fixed, options=options, threads=threads, progress=progress)
        report = _report(Path(output), seed, pair, result)
        _write(folder, pair, result)
        write_json(folder / REPORT, asdict(report))
    return report


def _checked(dim: int, seed: int, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"run_demo: `seed` must be a whole number >= 0; got {seed!r}.")
    if shape is not None:
        return tuple(shape)
    if not isinstance(dim, (int, np.integer)) or dim not in SHAPES:
        raise InputError(f"run_demo: `dim` must be 2 or 3; got {dim!r}.")
    return SHAPES[dim]


def _write(folder: Path, pair: DeformedPair, result: Result) -> None:
    """Write the pair, to repeat the registration on the command line, the result and the figure."""
    from ..images.accepted import as_image
    from ..io.files import write_image
    from ..report.plots.overview import overview

    fixed, moving = (as_image(image, argument="pair") for image in (pair.fixed, pair.moving))
    write_image(folder / FIXED, pair.fixed, like=fixed)
    write_image(folder / MOVING, pair.moving, like=moving)
    result.save(folder / RESULT)
    overview(
        result,
        fixed,
        moving,
        folder / PICTURE,
        truth=pair.displacement,
        mask=pair.mask,
        title="varreg demo",
    )


def _report(output: Path, seed: int, pair: DeformedPair, result: Result) -> DemoReport:
    warped = result.warp_labels(pair.labels_moving)
    nothing = np.zeros_like(pair.displacement)
    return DemoReport(
        output=output,
        seed=int(seed),
        shape=pair.fixed.shape,
        error_before=ErrorSummary.between(nothing, pair.displacement, pair.mask),
        error_after=ErrorSummary.between(result.displacement, pair.displacement, pair.mask),
        dice_before=mean_dice(pair.labels_moving, pair.labels_fixed),
        dice_after=mean_dice(warped, pair.labels_fixed),
        folds=int((result.jacobian() <= 0).sum()),
        smallest_determinant=float(result.smallest_determinant),
        seconds=float(result.seconds),
    )
