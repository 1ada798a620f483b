"""Masks of rigid structures as arguments of ``solve``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..energy.rigidity import RigidityTerm, RigidMasks
from ..images.image import Image
from ..images.level_image import LevelImage
from ..images.masks import read_mask
from ..optimise.check import Check
from ..optimise.rigidity_report import RigidityReport
from .problem import Problem


def as_rigid_masks(
    moving_mask: Any, fixed_mask: Any, moving: Image, fixed: Image, function: str = "varreg.solve"
) -> tuple[RigidMasks | None, tuple[Check, ...], tuple[str, ...]]:
    """Rigid masks from the arguments of ``solve``.

    Parameters
    ----------
    moving_mask, fixed_mask : see :func:`varreg.images.masks.read_mask`
    moving, fixed : Image
    function : str
        Name of the calling function, for messages.

    Returns
    -------
    masks : RigidMasks or None
        None without masks.
    checks : tuple of Check
        Warnings about the masks.
    notes : tuple of str
        Fraction of voxels in each mask.
    """
    found: list[LevelImage | None] = []
    checks: list[Check] = []
    notes = []
    for name, value, image in (("fixed", fixed_mask, fixed), ("moving", moving_mask, moving)):
        if value is None:
            found.append(None)
            continue
        argument = f"{name}_rigid_mask"
        everywhere = replace(image, valid=None)  # also voxels without valid data may be rigid
        mask = read_mask(value, everywhere, argument=argument, function=function)
        assert mask.counts is not None
        share = np.asarray(mask.counts, np.float32)
        checks += [check for check in mask.checks if not check.name.endswith("share")]
        notes.append(f"`{argument}` keeps the shape of {100 * share.mean():.3g} % of the voxels.")
        found.append(LevelImage(share, None, image.grid))
    if found == [None, None]:
        return None, (), ()
    return RigidMasks(*found), tuple(checks), tuple(notes)


def shapes_kept(problem: Problem, affine: Array, nodes: Array | None) -> RigidityReport | None:
    """Report of the deformation within rigid masks; None without masks or without a displacement."""
    if problem.rigid is None or nodes is None:
        return None
    place = problem.fixed.grid, affine, nodes.shape[1:], problem.options.constraint
    term = RigidityTerm(problem.rigid, *place, problem.kernels, problem.threads)
    return RigidityReport.of(*term.stretches(nodes))
