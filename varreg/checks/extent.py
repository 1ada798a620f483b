"""Checks of the magnitude of a map: scales, volume, view, shift, displacement, folds.

The limits of the affine part are based on inter-subject maps: between eight adults (T1, MICCAI 2012 multi-atlas
challenge) affine maps have scales of 0.89 to 1.13 and det A of 0.81 to 1.23; a child or a template may differ by as
much again.  Those of the displacement are based on pairs with a known answer; see docs/verdict.md.
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..geometry.grid import Grid
from ..optimise.check import Check
from ..optimise.lengths import length
from .answer import Answer

#: Largest stretch (or its inverse) along an axis, and change of volume (or its inverse).
SCALE, VOLUME = 1.3, 1.7
#: Smallest share of the smaller field of view that lies in the other one.
VIEW = 0.4
#: Largest mean and maximum of abs(u) over the head, as shares of its size.
MEAN_U, LARGEST_U = 0.06, 0.125
#: Mean displacement over the head (voxels) below which the images were already aligned.
NEXT_TO_NOTHING = 0.5
#: A bound on det(id + grad u) up to this multiple of the limit of the options counts as reaching it.
AT_THE_BOUND = 1.02


def scales(answer: Answer) -> Check:
    """Principal stretches of the affine part."""
    values = np.linalg.svd(answer.affine[:-1, :-1])[1]
    factors = np.maximum(values, 1 / values)
    worst = float(values[factors.argmax()])
    return Check(
        "scales", float(factors.max()), SCALE, bool(factors.max() <= SCALE),
        f"The affine part scales an axis by {worst:.2f}; heads of different people differ by "
        f"{1 / SCALE:.2f} to {SCALE:.2f}.",
        "Try affine='rigid' or affine='similarity', or masks of the anatomy common to both images; if only the moving"
        " image is without skull, `moving_mask` of its brain.",
    )  # fmt: skip


def volume(answer: Answer) -> Check:
    """Determinant of the affine part."""
    det = float(np.linalg.det(answer.affine[:-1, :-1]))
    factor = max(det, 1 / det) if det > 0 else np.inf
    if det <= 0:
        fact = f"The affine part mirrors (det A = {det:.2f})."
        remedy = "Check left and right in the headers."
    else:
        fact = (
            f"The affine part changes volumes by {det:.2f}; heads of different people differ by "
            f"{1 / VOLUME:.2f} to {VOLUME:.2f}."
        )
        remedy = "Check the voxel sizes in the headers; try affine='rigid'."
    return Check("volume", float(factor), VOLUME, bool(factor <= VOLUME), fact, remedy)


def view(answer: Answer) -> Check:
    """Share of the smaller field of view that lies in the other one."""
    fixed, moving = (
        float(np.prod(image.grid.extent)) for image in (answer.problem.fixed, answer.problem.moving)
    )
    det = max(abs(float(np.linalg.det(answer.affine[:-1, :-1]))), 1e-9)
    mask = answer.problem.fixed.mask
    counted = fixed * (1.0 if mask is None else float(np.mean(mask)))
    # both volumes in the fixed image
    share = min(answer.in_view * counted / min(counted, moving / det), 1.0)
    return Check(
        "view", share, VIEW, share >= VIEW,
        f"{100 * share:.0f} % of the smaller field of view lies in the other one.",
        "Check the headers; pass a `start` that brings the images together, or masks.",
    )  # fmt: skip


def shift(answer: Answer) -> Check:
    """Whether the centre of at least one image maps into the other, as in every search over shifts."""
    fixed, moving = answer.problem.fixed.grid, answer.problem.moving.grid
    there = answer.affine @ np.append(answer.head.centre, 1.0)
    back = np.linalg.solve(answer.affine, np.append(moving.centre, 1.0))
    # a slab may exclude the centre of the head, but the head contains that of the slab
    outside = min(_outside(moving, there[:-1]), _outside(fixed, back[:-1]))
    fact = "The centre of at least one image maps into the other."
    if outside > 0:
        fact = (
            f"The centres of both images map {length(outside, 0)} mm or more outside the "
            "other, the limit of the search."
        )
    return Check("shift", outside, 0.0, outside <= 0, fact, "Pass start='moments' or a matrix.")


def _outside(grid: Grid, point: Array) -> float:
    """Largest distance (mm) along an axis from a world point to the field of view; 0 inside."""
    voxel = grid.world_to_voxel(point)
    beyond = np.maximum(-0.5 - voxel, voxel - np.array(grid.shape) + 0.5) * grid.spacing
    return max(float(beyond.max()), 0.0)


def mean_deformation(answer: Answer) -> Check:
    """Mean displacement after affine, relative to the size of the head."""
    mean = float(np.sqrt(np.square(answer.u).sum(0)).mean())
    share = mean / answer.head.size
    return Check(
        "deformation", share, MEAN_U, share <= MEAN_U,
        f"Beyond its affine part the map moves the head by {length(mean, 1)} mm on average, "
        f"{100 * share:.1f} % of its size (limit {100 * MEAN_U:.1f} %).",
        "The affine part may be wrong: inspect the affine stage alone (deformable=False).",
    )  # fmt: skip


def largest_displacement(answer: Answer) -> Check:
    """The largest abs(u) over the head."""
    largest = float(np.sqrt(np.square(answer.u).sum(0)).max())
    share = largest / answer.head.size
    return Check(
        "displacement", share, LARGEST_U, share <= LARGEST_U,
        f"The deformation moves a point of the head by {length(largest, 1)} mm, "
        f"{100 * share:.0f} % of its size (limit {100 * LARGEST_U:.1f} %).",
        "Inspect the deformation grid; raise `smoothness_weight`, or pass a better `start`.",
    )  # fmt: skip


def folds(answer: Answer) -> Check:
    """The bound on det(id + grad u): folds, or a bound held only by the limit of the options."""
    bound = float(answer.smallest_determinant)
    least = answer.problem.options.smallest_determinant
    held = least <= bound <= AT_THE_BOUND * least
    ending = "." if bound > 0 else ": the map may fold."
    if held:
        ending = ": cells are limited by the bound against folds, not by the energy."
    return Check(
        "folds", bound, 0.0, bound > 0 and not held,
        f"det(id + grad u) is at least {bound:.3f} at every point" + ending,
        "Raise `volume_weight` or `smoothness_weight`." if held
        else "Raise `smoothness_weight`, or refine the map by varreg.solve(..., start=map).",
    )  # fmt: skip


def coincidence(answer: Answer) -> Check:
    """Whether the images already coincide by their headers."""
    voxel = float(answer.problem.fixed.grid.spacing.min())
    mean = float(np.sqrt(np.square(answer.there - answer.points).sum(0)).mean()) / voxel
    return Check(
        "coincidence", mean, NEXT_TO_NOTHING, mean >= NEXT_TO_NOTHING or mean == 0,
        f"The map moves the head by {mean:.2f} voxels on average"
        + (": the headers already align the images." if 0 < mean < NEXT_TO_NOTHING else "."),
        "The remainder is noise of the similarity: use the images as they are"
        + ("." if _is_rigid(answer) else ", or affine='rigid', deformable=False."),
    )  # fmt: skip


def _is_rigid(answer: Answer) -> bool:
    """Whether the map is rigid, so that a rigid model would change nothing."""
    linear = answer.affine[:-1, :-1]
    return answer.nodes is None and bool(np.allclose(linear.T @ linear, np.eye(len(linear))))
