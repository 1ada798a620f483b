"""``align_series``: motion correction of an image series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..backends.arrays import Array
from ..backends.compilation import compilation_clock, compilation_seconds, computing_time
from ..errors import InputError
from ..images.image import Image
from ..images.masks import read_mask
from ..images.series import as_volumes
from ..images.volumes import Volumes
from ..report.progress import count_bar
from ..stages.arguments import thread_count
from ..transforms.transform import Transform
from .aligned import AlignedSeries
from .bvectors import read_bvectors
from .checks import checks_of
from .fitting import Fit, fitted
from .motion import Head
from .reference import Reference

FUNCTION = "varreg.align_series"
MODELS = ("rigid", "affine")


@compilation_clock()
def align_series(
    series: Any,
    *,
    reference: int | str = "mean",
    model: str = "rigid",
    mask: Any = None,
    bvecs: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> AlignedSeries:
    """Estimate the motion of every volume of a series.

    Each volume gets one map from the reference to it, by mutual information, so that volumes of other contrast
    (diffusion weighting, contrast agent) are aligned too.  Volumes are read one at a time, several are aligned in parallel, and
    none is interpolated more than once: :meth:`AlignedSeries.save` and :func:`varreg.apply_series` read the series again.

    Parameters
    ----------
    series : path, nibabel image or array (x, y, z, n)
        ``.nii .nii.gz .mgh .mgz``; an array has voxels of 1 mm.
    reference : "mean" or int
        Index of the reference volume, from 0 (-1 is the last).  "mean" takes two rounds: the
        first aligns all volumes roughly to the middle one, the second to their mean.
    model : {"rigid", "affine"}
        Affine maps are for eddy currents of diffusion series.
    mask : array, path or image, optional
        Mask of the reference, or weights between 0 and 1. By default the head and its surroundings,
        which are detected.
    bvecs : path or (3, n) or (n, 3) array, optional
        Directions of diffusion weighting by FSL's convention; ``result.bvecs`` are then those of the aligned volumes
        (:func:`varreg.series.bvectors.rotated`).
    threads : int, optional
        Number of volumes aligned in parallel; the result does not depend on it. All available by default.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal only.

    Returns
    -------
    AlignedSeries

    Raises
    ------
    InputError, GeometryError, FileError
        If an argument is invalid: a single volume, an index out of range, a volume without data, or unequal numbers of
        directions and volumes.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y, z = np.mgrid[:20, :22, :16]
    >>> blob = np.exp(-((x - 9) ** 2 / 20 + (y - 12) ** 2 / 30 + (z - 8) ** 2 / 12))
    >>> found = varreg.align_series(np.stack([blob, np.roll(blob, 1, axis=1)], axis=-1), reference=0)
    >>> (found.affines[1][:3, 3].round(1) + 0).tolist()
    [0.0, 1.0, 0.0]
    """
    begun = computing_time()
    volumes = as_volumes(series, argument="series", function=FUNCTION)
    _check(volumes, model)
    number = reference_number(reference, volumes.count)
    directions = None if bvecs is None else read_bvectors(bvecs, volumes.count, FUNCTION)
    threads = thread_count(threads, FUNCTION)
    anchor = volumes.volume(number)
    counts = read_mask(mask, anchor, argument="mask", function=FUNCTION).counts
    rounds = 2 if reference == "mean" else 1
    with count_bar(rounds * volumes.count, progress, unit="volumes") as shown:
        first = Reference(anchor, counts)
        starts = np.broadcast_to(np.eye(4), (volumes.count, 4, 4))
        if rounds == 2:
            found = aligned_to(first, volumes, model, starts, slice(0, 1), threads, shown.update)
            starts = np.array([fit.matrix for fit in found])
            first = Reference(mean_image(volumes, starts, threads), counts, is_mean=True)
        levels = slice(0, 2) if rounds == 1 else slice(1, 2)
        found = aligned_to(first, volumes, model, starts, levels, threads, shown.update)
    if rounds == 1:
        found[number] = found[number]._replace(matrix=np.eye(4))
    return _result(volumes, first, number if rounds == 1 else "mean", model, found, directions,
                   {"threads": threads, "seconds": computing_time() - begun, "compilation": compilation_seconds()})  # fmt: skip


def reference_number(reference: Any, count: int) -> int:
    """The reference volume, or the volume that initialises the mean."""
    if isinstance(reference, str) and reference == "mean":
        return count // 2
    if isinstance(reference, bool) or not isinstance(reference, (int, np.integer)):
        raise InputError(
            f"{FUNCTION}: `reference` must be 'mean' or the number of a volume; got {reference!r}."
        )
    if not -count <= reference < count:
        raise InputError(
            f"{FUNCTION}: `reference` is {reference}, and the series has {count} volumes, 0 to {count - 1}; give one "
            "of them, or 'mean'."
        )
    return int(reference) % count


def aligned_to(
    reference: Reference, volumes: Volumes, model: str, starts: Array, levels: slice, threads: int,
    done: Callable[[], Any],
) -> list[Fit]:  # fmt: skip
    """The maps of all volumes to one reference."""
    _ = reference.levels  # computed once, before the threads start

    def fit(number: int, array: NDArray[Any]) -> Fit:
        image = volumes.registrable(number, array)
        return fitted(reference, image, model, starts[number], levels)

    found = []
    for one in volumes.each(fit, threads):
        found.append(one)
        done()
    return found


def mean_image(volumes: Volumes, affines: Array, threads: int) -> Image:
    """The mean of the volumes, each resampled onto the reference."""
    grid = volumes.grid
    total, count = np.zeros(grid.shape), np.zeros(grid.shape, np.int32)

    def warped(number: int, array: NDArray[Any]) -> NDArray[Any]:
        transform = Transform(grid, grid, affines[number])
        # NaN outside a volume: the mean excludes what is out of view of a volume
        return transform.warp(volumes.image(number, array), "linear", np.nan, threads=1)

    for one in volumes.each(warped, threads):
        known = np.isfinite(one)
        np.add(total, one, out=total, where=known)
        count += known
    valid = count > 0
    mean = np.divide(total, count, out=np.full(grid.shape, np.nan), where=valid)
    return Image.from_array(mean.astype(np.float32), affine=grid.affine, name="mean")


def _check(volumes: Volumes, model: Any) -> None:
    if volumes.count < 2:
        raise InputError(
            f"{FUNCTION}: `series` has one volume, which cannot be aligned; give a series, or use varreg.solve "
            "for two images."
        )
    if not isinstance(model, str) or model not in MODELS:
        known = ", ".join(map(repr, MODELS))
        raise InputError(f"{FUNCTION}: `model` must be one of {known}; got {model!r}.")


def _result(
    volumes: Volumes, reference: Reference, name: int | str, model: str, found: list[Fit],
    directions: Array | None, how: dict[str, Any],
) -> AlignedSeries:  # fmt: skip
    result = AlignedSeries(
        grid=volumes.grid,
        affines=np.array([fit.matrix for fit in found]),
        model=model,
        reference=name,
        head=Head(reference.centre, reference.spread),
        energies=np.array([fit.energy for fit in found]),
        start_energies=np.array([fit.start_energy for fit in found]),
        in_view=np.array([fit.in_view for fit in found]),
        given_bvecs=directions,
        name=volumes.name,
        step=volumes.step,
        notes=volumes.notes,
        provenance={"varreg": __version__, **how},
        series=volumes,
    )
    return replace(result, checks=(*volumes.checks, *checks_of(result)))
