r"""Smoothing-spline fit of a start, which removes roughness that only increases the energy.

A field computed by another method may be accurate and still have a large smoothness
term, since it minimises another energy or is arbitrary outside the head.  The first steps of a
descent would shrink all of it.  Instead,

.. math:: \tfrac12 |z|^2 + \tfrac\kappa{2n} \sum_j w_j\, |u_j - s_j|^2

is minimised, with s the given field, w the share of foreground around a node and several values of
:math:`\kappa`, and the field of lowest energy among these and s is used.
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

#: kappa, in units of lambda per squared voxel: first, last, and factor.
STIFFEST, SOFTEST, FACTOR = 0.2, 5e-4, 3.0
#: Conjugate gradients: number of steps, and squared residual for termination.
STEPS, ENOUGH = 15, 1e-6
#: Unit intensity above which a voxel of the fixed image is foreground.
FOREGROUND = 0.01


def smoothing_spline_fit(problem: Problem, objective: DeformableObjective, field: Array) -> Array:
    r"""The field of lowest energy among the given one, its smoothing splines, and zero.

    Parameters
    ----------
    problem : Problem
    objective : DeformableObjective
        Its energy is compared.
    field : (d, \*m) array
        u at the nodes, mm.

    Returns
    -------
    (d, \*m) array
        `field` itself if no other energy is lower; never a folded field.
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
    """Solve (I + S^T W S) z = S^T W s by conjugate gradients starting at z; S maps z to the field."""
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
    """The share of foreground in the support of each node, normalised to mean 1."""
    shown: Array = foreground(problem).astype(np.float64)
    for axis, (n, m) in enumerate(zip(shown.shape, nodes, strict=True)):
        if n != m:
            table = interpolation(n, m, problem.options.constraint)
            shown = np.moveaxis(np.tensordot(table, shown, (0, axis)), 0, axis)
    return np.asarray(shown / shown.mean())


def foreground(problem: Problem) -> NDArray[np.bool_]:
    """Foreground of the fixed image inside the mask, (*S) bool; all voxels if it is empty."""
    fixed = problem.fixed
    shown = np.asarray(fixed.data > FOREGROUND)
    if fixed.counted is not None:
        shown &= fixed.counted
    return shown if shown.any() else np.ones_like(shown)
