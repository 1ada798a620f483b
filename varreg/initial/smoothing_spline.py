r"""The smoothing-spline fit of a start, without the roughness that only costs energy.

A field that was found by other means may be as good as can be and still have a large smoothness
term: it was made for another one, or means nothing outside the head.  The first steps of a descent
would shrink all of it.  Instead,

.. math:: \tfrac12 |z|^2 + \tfrac\kappa{2n} \sum_j w_j\, |u_j - s_j|^2

is minimised, with s the field that came, w the share of foreground around a node and a few
:math:`\kappa`, and of these fields and s itself the one of lowest energy is taken.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..backends.vectors import dot
from ..energy.deformable import DeformableObjective
from ..geometry.projection import interpolation
from ..stages.problem import Problem

#: kappa, in units of lambda per squared voxel: from the first to the last, by a factor.
STIFFEST, SOFTEST, FACTOR = 0.2, 5e-4, 3.0
#: Conjugate gradients: steps, and the squared residual that is enough.
STEPS, ENOUGH = 15, 1e-6
#: Unit intensity above which a voxel of the fixed image is foreground.
FOREGROUND = 0.01


def smoothing_spline_fit(problem: Problem, objective: DeformableObjective, field: Array) -> Array:
    r"""The field of lowest energy among itself, smoothing splines of it, and zero.

    Parameters
    ----------
    problem : Problem
    objective : DeformableObjective
        Its energy decides.
    field : (d, \*m) array
        u at the nodes, mm.

    Returns
    -------
    (d, \*m) array
        `field` itself if nothing is lower; never one that folds.
    """
    smoothness, options = objective.smoothness, problem.options
    weights = _foreground(problem, smoothness.shape)
    unit = options.similarity_weight / (objective.smallest_voxel**2 * math.prod(smoothness.shape))
    z = smoothness.to_coordinates(field)
    best, least, stiffness = field, objective.evaluate((z, field)).energy.total, STIFFEST
    while stiffness > SOFTEST:
        z = _spline(objective, z, field, stiffness * unit * weights)
        candidate = smoothness.to_field(z)
        energy = objective.evaluate((z, candidate)).energy.total
        if energy < least:
            best, least = candidate, energy
        elif best is not field:
            return best
        stiffness /= FACTOR
    zero = np.zeros_like(field)
    return zero if objective.evaluate((zero, zero)).energy.total < least else best


def _spline(objective: DeformableObjective, z: Array, field: Array, weights: Array) -> Array:
    """(I + S^T W S) z = S^T W s by conjugate gradients from z; S takes z to the field."""
    smoothness = objective.smoothness

    def apply(v: Array) -> Array:
        return v + smoothness.pull_gradient(weights * smoothness.to_field(v))

    right = smoothness.pull_gradient(weights * field)
    residual = right - apply(z)
    direction, squared, enough = residual, dot(residual, residual), ENOUGH * dot(right, right)
    for _ in range(STEPS):
        if squared <= enough:
            break
        image = apply(direction)
        step = squared / dot(direction, image)
        z, residual = z + step * direction, residual - step * image
        before, squared = squared, dot(residual, residual)
        direction = residual + (squared / before) * direction
    return z


def _foreground(problem: Problem, nodes: tuple[int, ...]) -> Array:
    """The share of the foreground that is interpolated from each node, its mean 1."""
    shown: Array = foreground(problem).astype(np.float64)
    for axis, (n, m) in enumerate(zip(shown.shape, nodes, strict=True)):
        if n != m:
            table = interpolation(n, m, problem.options.constraint)
            shown = np.moveaxis(np.tensordot(table, shown, (0, axis)), 0, axis)
    return np.asarray(shown / shown.mean())


def foreground(problem: Problem) -> NDArray[np.bool_]:
    """Fixed voxels that show something and count, (*S) bool; all of them if none does."""
    fixed = problem.fixed
    shown = np.asarray(fixed.data > FOREGROUND)
    if fixed.counted is not None:
        shown &= fixed.counted
    return shown if shown.any() else np.ones_like(shown)
