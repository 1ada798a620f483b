"""Transform arguments of commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..transforms.transform import Transform

_INVERTED = re.compile(r"^\[\s*(.+?)\s*,\s*([01])\s*\]$")  # [affine.mat,1] of antsApplyTransforms
_EXPONENT = re.compile(r"^(.+),(-?1)$")  # affine.mat,-1 of greedy


def files_and_flags(given: Sequence[str]) -> tuple[list[str], list[bool]]:
    """File names, and which of them are inverted.

    Parameters
    ----------
    given : sequence of str
        ``file``, ``[file,1]`` as in ``antsApplyTransforms``, or ``file,-1`` as in greedy.

    Returns
    -------
    paths : list of str
    flags : list of bool

    Examples
    --------
    >>> files_and_flags(["warp.nii.gz", "[affine.mat,1]", "affine.mat,-1"])
    (['warp.nii.gz', 'affine.mat', 'affine.mat'], [False, True, True])
    """
    paths, flags = list[str](), list[bool]()
    for text in given:
        if found := _INVERTED.match(text):
            paths.append(found[1])
            flags.append(found[2] == "1")
        elif found := _EXPONENT.match(text):
            paths.append(found[1])
            flags.append(found[2] == "-1")
        else:
            paths.append(text)
            flags.append(False)
    return paths, flags


def on_reference(transform: Transform, reference: Any, inverse: bool) -> Transform:
    """The transform resampled onto the grid of another image.

    Parameters
    ----------
    transform : Transform
    reference : path of an image
        An image in the fixed space, or with `inverse` in the moving space.
    inverse : bool

    Returns
    -------
    Transform
        The same map, sampled at the voxels of the reference image.

    Examples
    --------
    >>> on_reference(transform, "t1_hires.nii.gz", inverse=False)  # doctest: +SKIP
    """
    from dataclasses import replace

    from ..exchange.composing import chain_of, transform_of
    from ..images.inputs import image_on
    from ..images.loading import geometry

    image = geometry(reference, "reference", "varreg apply")
    own = transform.moving if inverse else transform.fixed
    *_, grid = image_on(own, transform.frame, image, "varreg apply")
    if inverse:
        return replace(transform, moving=grid)
    return transform_of(chain_of(transform), grid, transform.moving, transform.frame)
