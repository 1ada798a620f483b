r"""Trials: repeated registration of the pair under small known perturbations, and comparison of the maps.

Every trial is an affine and deformable registration with the default options, independent of the options and model of
the assessed map: a repeated restricted registration would agree with itself without revealing the error due to its
restriction.  A trial moves the moving image by a known rigid motion W, written into its grid to avoid interpolation,
crops the fixed image by a few voxels, which changes the joint histograms and the tiles, multiplies both
images by a smooth bias field, and adds noise.  With the perturbed map T', fixed world -> moved world, :math:`W^{-1} T'`
is a map between the original images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..backends.arrays import Array
from ..checks.head import Head, head_of
from ..errors import DivergenceError, OverlapError
from ..geometry.grid import Grid
from ..images.level_image import LevelImage
from ..initial.last_stage import last_stage
from ..options.names import STARTS
from ..options.options import Options
from ..stages.affine import affine_stage
from ..stages.levels import Recorder
from ..stages.problem import Problem
from ..transforms.transform import Transform

#: Largest rotation (degrees, about each axis) and translation (share of the size of the head, along each axis).
TURN, SHIFT = 5.0, 0.04
#: Standard deviation of the noise, in unit intensities, and of the logarithm of the bias field.
NOISE, SHADING = 0.03, 0.1
#: Most voxels that are cropped at an end of an axis, and the largest share of the axis.
CROP, LARGEST_CROP = 3, 1 / 32


@dataclass(frozen=True)
class Trials:
    """Distances of the maps of the trials from a map, and from each other.

    Attributes
    ----------
    distances : (n + 1, n + 1) array
        Mean over the head, mm (moving world), between the map (first) and the n trials.
    squared : (points,) array
        Mean square over the trials of the distance from the map, mm^2, at the voxels of `head`.
    level : LevelImage
        Fixed image on the grid of these voxels.
    head : Head
    """

    distances: Array
    squared: Array
    level: LevelImage
    head: Head


def run_trials(
    problem: Problem, transform: Transform, count: int, seed: int,
    done: Callable[[], None] | None = None,
) -> Trials:  # fmt: skip
    """Register `count` times under small known perturbations, and compare with a map.

    Parameters
    ----------
    problem : Problem
    transform : Transform
        Between the images of the problem.
    count : int
    seed : int
        Number of trials; the first trials do not depend on it.
    done : callable, optional
        Called after each trial.

    Returns
    -------
    Trials
        The distances of a failed trial are set to the size of the head.
    """
    judge = Problem(
        problem.fixed, problem.moving, Options().decided(problem.fixed.grid.dim),
        problem.kernels, problem.threads,
    )  # fmt: skip
    level = judge.level(judge.factors[0])[0]
    head = head_of(level)
    points = level.grid.voxel_to_world(np.argwhere(head.shown).T.astype(np.float64)).T
    mapped: list[Array | None] = [transform.points(points)]
    for k in range(count):
        found = trial(judge, transform.affine, head, np.random.default_rng([seed, k]))
        mapped.append(None if found is None else found.points(points))
        if done is not None:
            done()
    squares = [np.square(_apart(mapped[0], other, head.size)) for other in mapped[1:]]
    squared = np.mean([np.broadcast_to(each, len(points)) for each in squares], axis=0)
    distances = np.array([[_apart(a, b, head.size).mean() for b in mapped] for a in mapped])
    np.fill_diagonal(distances, 0.0)  # also of failed trials
    return Trials(distances, squared, level, head)


def _apart(a: Array | None, b: Array | None, size: float) -> Array:
    """Distance of mapped points, (points,) or (1,); `size` if one trial failed."""
    if a is None or b is None:
        return np.full(1, size)
    return np.linalg.norm(a - b, axis=1)


def trial(
    problem: Problem, affine: Array, head: Head, random: np.random.Generator
) -> Transform | None:
    """The map of one trial, between the original images; None if the registration failed."""
    changed, motion = perturbed(problem, head, random)
    recorder = Recorder(None)
    try:
        matrix = affine_stage(changed, "affine", STARTS, False, recorder, also=affine)
        found = last_stage(changed, matrix, None, recorder)
    except (DivergenceError, OverlapError):
        return None
    back = np.linalg.inv(motion) @ found.affine
    grids = changed.fixed.grid, problem.moving.grid
    return Transform(*grids, back, found.nodes, problem.options.constraint)


def perturbed(problem: Problem, head: Head, random: np.random.Generator) -> tuple[Problem, Array]:
    """The problem with both images slightly perturbed, and the motion W of the moving world."""
    motion = rigid_motion(problem.moving.grid, SHIFT * head.size, random)
    fixed = cropped(problem.fixed, random)
    moving = LevelImage(
        problem.moving.data, problem.moving.mask,
        Grid(problem.moving.grid.shape, motion @ problem.moving.grid.affine), problem.moving.weighted,
    )  # fmt: skip
    fixed, moving = (
        replace(image, data=noisy(shaded(image.data, random), random)) for image in (fixed, moving)
    )
    return Problem(fixed, moving, problem.options, problem.kernels, problem.threads), motion


def rigid_motion(grid: Grid, shift: float, random: np.random.Generator) -> Array:
    """Rotation about the centre of a grid and translation, (d + 1, d + 1) world -> world."""
    d = grid.dim
    generator = np.zeros((d, d))
    for i, j in zip(*np.triu_indices(d, 1), strict=True):
        generator[i, j] = np.deg2rad(random.uniform(-TURN, TURN))
        generator[j, i] = -generator[i, j]
    # Cayley transform: exactly orthogonal, and the angle correct to third order
    turn = np.linalg.solve(np.eye(d) - generator / 2, np.eye(d) + generator / 2)
    motion = np.eye(d + 1)
    motion[:-1, :-1] = turn
    motion[:-1, -1] = grid.centre - turn @ grid.centre + random.uniform(-shift, shift, d)
    return motion


def cropped(image: LevelImage, random: np.random.Generator) -> LevelImage:
    """Crop a few voxels at either end of each axis."""
    most = [int(min(CROP, n * LARGEST_CROP)) for n in image.grid.shape]
    low, high = ([int(random.integers(0, n + 1)) for n in most] for _ in range(2))
    kept = tuple(slice(a, n - b) for a, b, n in zip(low, high, image.grid.shape, strict=True))
    affine = image.grid.affine.copy()
    affine[:-1, -1] = image.grid.voxel_to_world(np.array(low, dtype=np.float64))
    data = image.data[kept].copy()
    mask = None if image.mask is None else image.mask[kept].copy()
    return LevelImage(data, mask, Grid(data.shape, affine), image.weighted)


def shaded(data: Array, random: np.random.Generator) -> Array:
    """Multiply by a smooth positive bias field."""
    logarithm = np.zeros((1,) * data.ndim)
    for axis, n in enumerate(data.shape):
        along = [1] * data.ndim
        along[axis] = n
        angle = np.pi * random.uniform(0.5, 1.5) * np.arange(n) / n + random.uniform(0, 2 * np.pi)
        logarithm = logarithm + (SHADING * np.sin(angle)).reshape(along)
    return np.asarray(np.clip(data * np.exp(logarithm), 0, 1).astype(data.dtype))


def noisy(data: Array, random: np.random.Generator) -> Array:
    """Add noise."""
    noise = random.standard_normal(data.shape, dtype=np.float32)
    return np.asarray(np.clip(data + np.float32(NOISE) * noise, 0, 1).astype(data.dtype))
