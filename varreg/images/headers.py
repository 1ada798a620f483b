"""Affine of a volume from its header, and warnings if the header is ambiguous."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..optimise.check import Check

#: Distance in voxels between the positions of a corner by sform and qform above which the two disagree.
APART = 0.5

#: Millimetres per NIfTI unit of length; without a unit, mm is assumed.
UNITS = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}

_REMEDY = (
    "Correct the header, or choose its valid part: varreg.ImageFile(path, header='sform'), 'qform' or 'pixdim' "
    "(command line: --header sform, qform or pixdim)."
)


def placed(
    image: Any, chosen: str | None, *, argument: str, function: str
) -> tuple[NDArray[np.float64] | None, tuple[Check, ...], tuple[str, ...]]:
    """The affine of a nibabel image, and a warning if its header is ambiguous.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
    chosen : {"sform", "qform", "pixdim"} or None
        Part of the header to use regardless of the form codes; see :class:`varreg.ImageFile`.
    argument, function : str
        Names for the messages.

    Returns
    -------
    affine : (4, 4) array or None
        Voxel -> world (mm).
    checks : tuple of Check
        Empty, or one check that did not pass.
    notes : tuple of str
        The unit of the header, if it is not mm.

    Raises
    ------
    InputError
        If the header does not have the chosen part.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    >>> placed(image, None, argument="moving", function="varreg.solve")[1]
    ()
    """
    header = image.header
    factor, notes = _millimetres(header, argument)
    affine, checks = _placed(image, header, chosen, argument, function)
    if affine is None or factor == 1:
        return affine, checks, ()
    return np.diag([factor] * 3 + [1.0]) @ affine, checks, notes


def _placed(
    image: Any, header: Any, chosen: str | None, argument: str, function: str
) -> tuple[NDArray[np.float64] | None, tuple[Check, ...]]:
    """The affine in the units of the header, and checks that did not pass."""
    forms = hasattr(header, "get_sform") and hasattr(header, "get_qform")
    if chosen is not None:
        if not forms:
            raise InputError(
                f"{function}: `{argument}` is a {type(image).__name__}, whose header has no "
                f"{chosen}; leave out `header` (command line: --header)."
            )
        return _part(header, chosen), ()
    if image.affine is None:
        return None, ()
    affine = np.asarray(image.affine)
    return affine, _doubts(header, affine, image.shape, argument) if forms else ()


def _millimetres(header: Any, argument: str) -> tuple[float, tuple[str, ...]]:
    """Millimetres per unit of length of the header, and a note about the conversion."""
    try:
        unit = header.get_xyzt_units()[0]
    except (AttributeError, KeyError):  # a format without units, or an undefined code
        return 1.0, ()
    factor = UNITS.get(unit, 1.0)
    return factor, (
        f"The header of `{argument}` is in units of {factor:g} mm ({unit}): lengths were converted to mm.",
    )


def _part(header: Any, chosen: str) -> NDArray[np.float64]:
    """The affine stored in one part of the header."""
    if chosen == "pixdim":
        sizes = np.append(np.asarray(header.get_zooms()[:3], np.float64), [1.0] * 3)[:3]
        return np.diag(np.append(sizes, 1.0))
    return np.asarray(header.get_sform() if chosen == "sform" else header.get_qform())


def _doubts(
    header: Any, affine: NDArray[np.float64], shape: tuple[int, ...], argument: str
) -> tuple[Check, ...]:
    """The failed check of the form codes, if any."""
    from nibabel.spatialimages import HeaderDataError

    codes = int(header["sform_code"]), int(header["qform_code"])
    if codes == (0, 0):
        return (
            Check(
                f"{argument} header", 0.0, 1.0, False,
                f"The header of `{argument}` does not define the orientation (sform and qform codes are 0): x was assumed to "
                "run from right to left, so left and right may be swapped.",
                _REMEDY,
            ),
        )  # fmt: skip
    if 0 in codes:
        return ()
    try:
        qform = header.get_qform()
    except HeaderDataError:  # the qform is not a rotation: only the sform is usable
        return ()
    apart, mirrored = _between(header.get_sform(), qform, shape)
    if not apart > APART:
        return ()
    swapped = ", mirrored," if mirrored else ""
    return (
        Check(
            f"{argument} header", apart, APART, False,
            f"The header of `{argument}` gives two places{swapped} {apart:.3g} voxels apart: its sform (code {codes[0]}) and "
            f"its qform (code {codes[1]}); the sform was taken.",
            _REMEDY,
        ),
    )  # fmt: skip


def _between(sform: Any, qform: Any, shape: tuple[int, ...]) -> tuple[float, bool]:
    """Largest distance in voxels between corners by sform and qform, and whether one is a reflection of the other."""
    size = np.append(shape[:3], [1] * 3)[:3]
    corners = np.array(list(itertools.product(*[(0.0, n - 1.0) for n in size])))
    difference = np.asarray(sform) - np.asarray(qform)
    moved = np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1).max()
    voxel = np.linalg.norm(np.asarray(sform)[:3, :3], axis=0)
    smallest = float(voxel[voxel > 0].min()) if (voxel > 0).any() else 1.0
    mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    return float(moved) / smallest, bool(mirrored)
