"""BIDS names of transforms, ``from-T2w_to-T1w_mode-image_xfm.h5``, and their JSON sidecars.

``mode-image`` transforms *images* of `from` to `to`: the file maps points of `to` to points of `from`, like
fMRIPrep's files for ``antsApplyTransforms -t``.  ``mode-points`` maps points of `from` to `to`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import InputError
from ..io.files import write_json
from ..io.records import plain
from ..transforms.held import held_transform
from ..transforms.transform import Transform

_ENTITIES = ("from", "to", "mode")
_MODES = ("image", "points")
_ENDINGS = re.compile(r"(\.nii)?\.[A-Za-z0-9]+$")


@dataclass(frozen=True)
class BidsName:
    """Entities in the file name of a transform.

    Attributes
    ----------
    source, target : str
        Values of ``from-`` and ``to-``.
    mode : {"image", "points"}
        Whether images or points are transformed from one to the other.
    """

    source: str
    target: str
    mode: str

    @property
    def moving(self) -> str:
        """Label of the target of the point mapping."""
        return self.source if self.mode == "image" else self.target

    @property
    def fixed(self) -> str:
        """Label of the source of the point mapping."""
        return self.target if self.mode == "image" else self.source


def bids_name(path: str | os.PathLike[str], function: str) -> BidsName | None:
    """Parse a file name, if it is a BIDS name of a transform.

    Parameters
    ----------
    path : str or PathLike
    function : str
        For the message.

    Returns
    -------
    BidsName or None
        None for any other name.

    Raises
    ------
    InputError
        If the name ends in ``_xfm`` and has some but not all of from-, to- and mode-, or an unknown mode.

    Examples
    --------
    >>> bids_name("sub-1_from-T2w_to-T1w_mode-image_xfm.h5", "f")
    BidsName(source='T2w', target='T1w', mode='image')
    >>> bids_name("map.h5", "f") is None
    True
    """
    *parts, suffix = _ENDINGS.sub("", Path(os.fsdecode(path)).name).split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if suffix != "xfm" or entities.keys().isdisjoint(_ENTITIES):
        return None
    source, target, mode = (entities.get(name, "") for name in _ENTITIES)
    if not source or not target or mode not in _MODES:
        raise InputError(
            f"{function}: `path` is {os.fsdecode(path)!r}; the name of a transform in BIDS has from-, to- and mode-image (or "
            "mode-points) before _xfm, e.g. from-T2w_to-T1w_mode-image_xfm.h5."
        )
    return BidsName(source, target, mode)


@dataclass(frozen=True, eq=False)
class Sidecar:
    """JSON sidecar of a transform.

    Attributes
    ----------
    path : str
        Path of the sidecar.
    name : BidsName
    value : Any
        A Result or the like, whose options, checks and version are recorded if available.
    fixed, moving : str
        File names of the source and the target of the point mapping; may be empty.
    """

    path: str
    name: BidsName
    value: Any
    fixed: str
    moving: str

    def write(self, path: Path, transform: Transform) -> None:
        """Write the sidecar to a temporary path, for the transform as written, which may be the inverse."""
        name, value = self.name, self.value
        ends = [(self.moving, transform.moving), (self.fixed, transform.fixed)]
        source, target = ends if name.mode == "image" else reversed(ends)
        forward = held_transform(value) is transform
        metadata = {
            "Description": f"Maps points of {name.fixed} to {name.moving} (world, mm), which brings images of "
            f"{name.moving} to {name.fixed}.",
            "From": name.source,
            "To": name.target,
            "Mode": name.mode,
            "Type": "affine" if transform.nodes is None else "nonlinear",
            "Sources": [image for image, _ in (source, target) if image],
            "FromFile": source[0] or None,
            "ToFile": target[0] or None,
            "FromGrid": _grid(source[1]),
            "ToGrid": _grid(target[1]),
            "Software": "varreg",
            "SoftwareVersion": getattr(value, "provenance", {}).get("varreg", __version__),
            "Options": plain(getattr(value, "options", None)),
            "SmallestDeterminant": plain(getattr(value, "smallest_determinant", None))
            if forward
            else None,
            "Checks": plain(getattr(value, "checks", ())),
            "Warnings": [str(check) for check in getattr(value, "warnings", ())],
            "Notes": list(getattr(value, "notes", ())),
        }
        write_json(path, metadata, overwrite=True)


def sidecar(value: Any, path: Path, inverse: bool, function: str) -> Sidecar | None:
    """The JSON sidecar of a transform, if its file has a BIDS name.

    Parameters
    ----------
    value : Result, Transform or the like
        The map fixed -> moving.
    path : Path
        Path of the transform file.
    inverse : bool
        Whether the map moving -> fixed is written.
    function : str
        For messages.

    Returns
    -------
    Sidecar or None

    Raises
    ------
    InputError
        If the BIDS name is incomplete, or the labels of both images are exchanged.
    """
    if (name := bids_name(path, function)) is None:
        return None
    images = getattr(value, "fixed_name", ""), getattr(value, "moving_name", "")
    fixed, moving = reversed(images) if inverse else images
    if name.fixed != name.moving and (_suffix(fixed), _suffix(moving)) == (name.moving, name.fixed):
        raise InputError(
            f"{function}: `path` is {str(path)!r}, and the transform has the opposite direction: it maps points of {fixed!r} to "
            f"{moving!r}, by which images of {name.fixed} are brought to {name.moving}. Name it "
            f"from-{name.fixed}_to-{name.moving}_mode-image, or write the inverse: inverse=True."
        )
    return Sidecar(_ENDINGS.sub("", os.fspath(path)) + ".json", name, value, fixed, moving)


def _grid(grid: Any) -> dict[str, Any]:
    return {"Shape": list(grid.shape), "Affine": grid.affine.tolist()}


def _suffix(image: str) -> str:
    """Suffix of an image name: T1w of sub-01_T1w.nii.gz and of T1w.nii.gz."""
    return _ENDINGS.sub("", Path(image).name).split("_")[-1]
