"""Slices of volumes in the in-plane world of another slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import GeometryError
from ..geometry.grid import Grid
from . import slices
from .image import Image

#: Largest angle in degrees between two slices that are treated as parallel.
STEEPEST = 5.0


def projected(image: Image, frame: np.ndarray) -> Image:
    """A slice expressed in the directions of another frame; unchanged if it already is, or if it has no frame.

    Parameters
    ----------
    image : Image
    frame : (4, 4) array
        See :class:`varreg.Image`.
    """
    if image.frame is None or np.array_equal(image.frame[:3, :3], frame[:3, :3]):
        return image
    plane, own = slices.project(image.grid.affine, image.frame, image.grid.shape, frame)
    return replace(image, grid=Grid(image.grid.shape, plane), frame=own)


def frame_of_map(fixed: Image, moving: Image) -> np.ndarray | None:
    """Frame in 3D space of a map between two slices; None unless both have a frame."""
    return fixed.frame if moving.frame is not None else None


def in_frame(image: Image, frame: np.ndarray | None, planes: str, remedy: str) -> Image:
    """A slice expressed in the in-plane world of another slice; an image without a frame is returned unchanged.

    Parameters
    ----------
    image : Image
    frame : (4, 4) array or None
        Frame of the other slice, if it has one.
    planes, remedy : str
        For the message: the planes that are not parallel, and the remedy.

    Raises
    ------
    GeometryError
        If the slices are not parallel.
    """
    if frame is None or image.frame is None:
        return image
    angle = slices.angle_between(image.frame, frame)
    if angle > STEEPEST:
        raise GeometryError(
            f"{planes} are {angle:.1f} degrees apart (at most {STEEPEST:g}); {remedy}"
        )
    return projected(image, frame)
