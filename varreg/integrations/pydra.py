"""``register`` and ``apply`` as pydra tasks (before version 1).

Outputs of a task are in a separate folder, the working folder of the task, identified by the content of its inputs.
"""

# Annotations stay objects in this file (no `from __future__ import annotations`): pydra reads them as types.
from pathlib import Path
from typing import Any

import pydra
from fileformats.generic import Directory, File

from ..api import solve
from ..io.files import write_image
from ..results.result import load


@pydra.mark.task
@pydra.mark.annotate({"return": {"result": Directory, "warped": File}})
def register(
    moving: File,
    fixed: File,
    fixed_mask: File | None = None,
    moving_mask: File | None = None,
    settings: dict[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Register the image `moving` to the image `fixed`.

    Parameters
    ----------
    moving, fixed : path
        Two images of the same anatomy.
    fixed_mask, moving_mask : path, optional
        Masks of the images, 1 inside.
    settings : dict, optional
        Further arguments of :func:`varreg.solve`, such as ``{"affine": "rigid", "threads": 1}``.

    Returns
    -------
    result : path
        The folder of the saved result.
    warped : path
        The moving image on the fixed grid.
    """
    masks = {
        "fixed_mask": fixed_mask and Path(fixed_mask),
        "moving_mask": moving_mask and Path(moving_mask),
    }
    result = solve(Path(moving), Path(fixed), **{"progress": False, **masks, **(settings or {})})
    folder = Path("registered").absolute()
    result.save(folder)
    return folder, folder / "warped.nii.gz"


@pydra.mark.task
@pydra.mark.annotate({"return": {"warped": File}})
def apply(
    result: Directory, image: File, interpolation: str = "linear", labels: bool = False
) -> Path:
    """Warp another image of the moving side onto the fixed grid of a saved result.

    Parameters
    ----------
    result : path
        The folder of a saved result.
    image : path
    interpolation : {"linear", "nearest", "cubic"}
        Interpolation; for labels, linear selects the label with the largest interpolated fraction.
    labels : bool
        Whether the image holds labels, which stay integers.

    Returns
    -------
    warped : path
        ``warped.nii.gz``.
    """
    saved = load(Path(result))
    warp = saved.warp_labels if labels else saved.warp
    file = Path("warped.nii.gz").absolute()
    write_image(file, warp(Path(image), interpolation), like=saved.warped)
    return file
