"""An aligned image series on disk: a folder with images, motion tables, and one file with all maps.

``series.json`` is read by :func:`varreg.load_series`, :func:`varreg.apply_series` and ``varreg apply``.  Beside it are
the aligned series and its mean (NIfTI), the confounds (BIDS: ``desc-confounds_timeseries.tsv`` with its ``.json``), a
figure, the maps of the volumes for ITK and ANTs (``itk/0000.mat``, ...), and the rotated b-vectors if there are any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError, VarregError
from ..exchange.matrices import write_matlab
from ..geometry.grid import Grid
from ..geometry.resampling import INTERPOLATIONS, check_choice
from ..images.image import Image
from ..io.atomic import atomic_folder
from ..io.files import read_json, write_image, write_json
from ..io.records import Damage, array_of, entry, nested, number, plain, shape_of, text
from ..optimise.check import Check
from .bvectors import write_bvectors
from .motion import COLUMNS, RADIUS, Head
from .warping import write_warped

if TYPE_CHECKING:
    from .aligned import AlignedSeries

FORMAT, VERSION = "varreg series", 1
RECORD, ALIGNED, MEAN = "series.json", "aligned.nii.gz", "mean.nii.gz"
CONFOUNDS, FIGURE, BVECS, ITK = (
    "desc-confounds_timeseries",
    "motion.png",
    "aligned.bvec",
    "itk",
)
_SIDECAR = {
    **{
        name: {
            "Description": f"Shift along the {'first second third'.split()[k]} axis of FSL's scaled voxels, of the map from "
            "the volume to the reference.",
            "Units": "mm",
        }
        for k, name in enumerate(COLUMNS[:3])
    },
    **{
        name: {
            "Description": f"Rotation about the {'first second third'.split()[k]} axis of FSL's scaled voxels, of the map "
            "from the volume to the reference, by the convention of MCFLIRT.",
            "Units": "rad",
        }
        for k, name in enumerate(COLUMNS[3:])
    },
    "framewise_displacement": {
        "Description": "Sum of the absolute changes of the six numbers from the volume before, rotations as arcs on a "
        f"sphere of {RADIUS:g} mm (Power et al. 2012, doi 10.1016/j.neuroimage.2011.10.018).",
        "Units": "mm",
    },
}


def save_series(
    result: AlignedSeries, path: str | os.PathLike[str], interpolation: str, threads: int | None,
    progress: bool | None, overwrite: bool,
) -> None:  # fmt: skip
    """Write an aligned image series to a folder, atomically.

    Parameters
    ----------
    result : AlignedSeries
        Not loaded from disk: the input series is read again.
    path : path
        The folder to be created; its parent must exist.
    interpolation : {"linear", "nearest", "cubic"}
        The only interpolation of the aligned volumes.  Linear interpolation blurs, depending on the distance from voxel
        centres, and so introduces motion-related signal changes; cubic interpolation hardly does.
    threads, progress, overwrite
        As for :func:`varreg.apply_series`; an existing folder is replaced if it holds an aligned series.
    """
    function = "AlignedSeries.save"
    check_choice(interpolation, INTERPOLATIONS, function, "interpolation")
    if result.series is None:
        raise InputError(
            f"{function}: this result was loaded, and does not hold its images; copy the folder, or warp the series by "
            "varreg.apply_series."
        )

    def warp(number: int, image: Image) -> NDArray[Any]:
        return result.transform(number).warp(image, interpolation, threads=1)

    grid = result.grid
    with atomic_folder(path, overwrite=overwrite, marker=RECORD) as folder:
        written = folder / ALIGNED
        mean = write_warped(written, result.series, warp, grid, False, threads, progress)
        write_image(folder / MEAN, mean, Image.from_array(mean, affine=grid.affine))
        write_tables(result, folder)
        write_json(folder / RECORD, _content(result))


def write_tables(result: AlignedSeries, folder: Path) -> None:
    """Write all except images: confounds, figure, maps for ITK and b-vectors."""
    write_confounds(folder / f"{CONFOUNDS}.tsv", result)
    write_json(folder / f"{CONFOUNDS}.json", _SIDECAR)
    result.plot(folder / FIGURE)
    (folder / ITK).mkdir()
    digits = max(4, len(str(result.count - 1)))
    for k, affine in enumerate(result.affines):
        write_matlab(folder / ITK / f"{k:0{digits}d}.mat", affine)
    if (vectors := result.bvecs) is not None:
        write_bvectors(folder / BVECS, vectors)


def write_confounds(path: Path, result: AlignedSeries) -> None:
    """Write a BIDS table: one row per volume, ``n/a`` for missing values."""
    names = (*COLUMNS, "framewise_displacement")
    rows = np.column_stack([result.parameters, result.framewise_displacement])
    lines = ["\t".join(names), *("\t".join(_cells(row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of an aligned series written by :func:`save_series`.

    Raises
    ------
    FileError
        If it is absent or damaged; the message gives the reason.
    """
    place = Path(os.fsdecode(path)).expanduser()
    file = place if place.name == RECORD else place / RECORD
    if not file.is_file():
        raise FileError(
            f"varreg.load_series: `path` is {str(path)!r}, which is not a folder with a {RECORD!r} in it; give the folder "
            "that AlignedSeries.save or `varreg series -o` wrote."
        )
    content = read_json(file)
    try:
        return _fields(content)
    except (VarregError, TypeError, ValueError, KeyError) as error:
        reason = str(error) if isinstance(error, Damage) else f"{type(error).__name__}: {error}"
        raise FileError(
            f"varreg.load_series: {str(file)!r} is not usable: {reason}. Align the series again."
        ) from error


def is_aligned(value: Any) -> bool:
    """Whether the value is the path of an aligned series: its folder, or its ``series.json``."""
    if not isinstance(value, (str, os.PathLike)):
        return False
    place = Path(os.fsdecode(value)).expanduser()
    return place.name == RECORD or (place / RECORD).is_file()


def _content(result: AlignedSeries) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": result.name,
        "shape": result.grid.shape,
        "affine": result.grid.affine,
        "affines": result.affines,
        "model": result.model,
        "reference": result.reference,
        "centre": result.head.centre,
        "spread": result.head.spread,
        "energies": result.energies,
        "start_energies": result.start_energies,
        "in_view": result.in_view,
        "bvecs": result.given_bvecs,
        "step": result.step,
        "checks": [plain(check) for check in result.checks],
        "notes": list(result.notes),
        "provenance": result.provenance,
    }


def _fields(content: dict[str, Any]) -> dict[str, Any]:
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise Damage(f"`format` and `version` are not {FORMAT!r} and {VERSION}")
    count = len(entry(content, "affines"))
    given, reference = entry(content, "bvecs"), entry(content, "reference")
    if reference != "mean" and (isinstance(reference, bool) or not isinstance(reference, int)):
        raise Damage("`reference` is neither 'mean' nor a number")
    provenance = entry(content, "provenance")
    if not isinstance(provenance, dict):
        raise Damage("`provenance` is not an object")
    return dict(
        grid=Grid(shape_of(content, "shape"), array_of(content, "affine", (4, 4))),
        affines=array_of(content, "affines", (count, 4, 4)),
        model=text(content, "model"),
        reference=reference,
        head=Head(array_of(content, "centre", (3,)), array_of(content, "spread", (3, 3))),
        energies=array_of(content, "energies", (count,)),
        start_energies=array_of(content, "start_energies", (count,)),
        in_view=array_of(content, "in_view", (count,)),
        given_bvecs=None if given is None else array_of(content, "bvecs", (3, count)),
        name=text(content, "name"),
        step=number(entry(content, "step"), "step"),
        checks=nested(tuple[Check, ...], entry(content, "checks"), "checks"),
        notes=nested(tuple[str, ...], entry(content, "notes"), "notes"),
        provenance=provenance,
    )


def _cells(row: Iterable[float]) -> list[str]:
    return ["n/a" if not np.isfinite(value) else f"{value:.8g}" for value in row]
