"""Initialisations of the affine search: header, centres, moments, each with a coarse grid of rotations."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

from ..backends.arrays import Array
from ..geometry.affine_parts import affine_parts
from ..geometry.grid import Grid
from ..images.background import foreground_weight
from ..images.level_image import LevelImage

#: Rotation angles about every axis, in degrees.
ANGLES_2D = (-60, -45, -30, -15, 0, 15, 30, 45, 60)
ANGLES_3D = (-30, 0, 30)
#: Shifts along an axis of truncation, as fractions of the field of view.
SHIFTS = (0.0, -0.125, 0.125, -0.25, 0.25)
#: Least ratio of sizes for which scaled initialisations are added.
LEAST_SCALE = 1.15
#: An end slice is background if its standard deviation is below this fraction of the standard deviation of the image.
CUT = 0.25


def candidates(
    fixed: LevelImage, moving: LevelImage, names: tuple[str, ...], turn: bool, scaled: bool = False
) -> list[Array]:
    """Initial matrices, fixed world -> moving world; the first is without rotation.

    Parameters
    ----------
    fixed, moving : LevelImage
        The images at a coarse level.
    names : tuple of {"header", "centres", "moments"}
        Translations of the initial matrices.
    turn : bool
        Whether to add rotations about the centre of mass of the fixed image.
    scaled : bool
        Whether to add scaled maps if the foregrounds of complete images differ in size.

    Returns
    -------
    list of (d + 1, d + 1) array
    """
    d, centre = fixed.grid.dim, centre_of_mass(fixed)
    shift = {
        "header": lambda: np.zeros(d),
        "centres": lambda: moving.grid.centre - fixed.grid.centre,
        "moments": lambda: centre_of_mass(moving) - centre,
    }
    rotations = _rotations(d) if turn else [np.eye(d)]
    found = [_about(r, centre, shift[name]()) for r in rotations for name in names]
    if turn and "moments" in names:
        axes = fixed.grid.direction
        turns = (axes @ quarter @ np.linalg.inv(axes) for quarter in quarter_turns(d))
        found += [_about(r, centre, shift["moments"]()) for r in turns]
    if "moments" in names:
        further = [shift["moments"]() + apart for apart in further_shifts(fixed, moving)]
        found += [_about(r, centre, s) for r in rotations[: None if d == 2 else 1] for s in further]
        scale = relative_size(fixed, moving) if scaled else 1.0
        if abs(np.log(scale)) > np.log(LEAST_SCALE):
            found += [_about(scale * r, centre, shift["moments"]()) for r in rotations]
    return found


def described(matrix: Array, fixed: LevelImage, moving: LevelImage) -> str:
    """Description of an initial matrix: name of its shift, rotation and scale about the centre of mass."""
    centre = centre_of_mass(fixed)
    shift = (matrix @ np.append(centre, 1.0))[:-1] - centre
    known = {
        "header": np.zeros(fixed.grid.dim),
        "centres": moving.grid.centre - fixed.grid.centre,
        "moments": centre_of_mass(moving) - centre,
    }
    near = [
        name
        for name, s in known.items()
        if np.linalg.norm(shift - s) < 1e-6 * np.sum(fixed.grid.extent)
    ]
    degrees, scales, _ = affine_parts(matrix, fixed.grid)
    words = near[:1] or [f"shifted by {np.linalg.norm(shift):.3g} mm"]
    words += [f"turned by {degrees:.0f} degrees"] if degrees >= 0.5 else []
    words += [f"scaled by {scales.mean():.3g}"] if abs(scales.mean() - 1) >= 5e-3 else []
    return ", ".join(words)


def shows_all(fixed: LevelImage, moving: LevelImage) -> bool:
    """Whether both images are complete, surrounded by background, so that their centres of mass correspond."""
    return not (cut_axes(fixed) or cut_axes(moving))


def further_shifts(fixed: LevelImage, moving: LevelImage) -> list[Array]:
    """Further shifts (mm, world) for truncated images, whose centres of mass do not correspond: along the
    axes at which either image is truncated.

    Empty for complete images.
    """
    grid = fixed.grid
    # for each axis of the moving image the most parallel axis of the fixed image
    along = np.abs(grid.direction.T @ moving.grid.direction).argmax(0)
    cut = cut_axes(fixed) | {int(along[axis]) for axis in cut_axes(moving)}
    shares = [SHIFTS if axis in cut else (0.0,) for axis in range(grid.dim)]
    steps = grid.direction * grid.extent
    return [steps @ np.array(each) for each in itertools.product(*shares) if any(each)]


def cut_axes(image: LevelImage) -> set[int]:
    """Axes at which the image is truncated: one of the end slices is not homogeneous like background."""
    even = CUT * float(image.data.std())
    return {
        axis
        for axis in range(image.data.ndim)
        if any(float(image.data.take(end, axis).std()) > even for end in (0, -1))
    }


def relative_size(fixed: LevelImage, moving: LevelImage) -> float:
    """Ratio of the sizes of the foregrounds, moving to fixed; 1 for truncated images."""
    if not shows_all(fixed, moving):
        return 1.0
    here, there = _spread(fixed), _spread(moving)
    return there / here if min(here, there) > 0 else 1.0


def centre_of_mass(image: LevelImage) -> Array:
    """World coordinates (mm) of the centre of mass of the foreground; centre of the grid if it is empty."""
    data = _foreground(image)
    total = data.sum()
    if not total > 0:
        return image.grid.centre
    axes = range(data.ndim)
    voxel = [
        (data.sum(tuple(a for a in axes if a != axis)) * np.arange(data.shape[axis])).sum() / total
        for axis in axes
    ]
    return image.grid.voxel_to_world(np.array(voxel))


def _spread(image: LevelImage) -> float:
    """Root-mean-square distance of the foreground from its centre of mass, mm; 0 if it is empty."""
    data = _foreground(image)
    axes, total, squared = range(data.ndim), float(data.sum()), 0.0
    for axis, spacing in enumerate(image.grid.spacing if total > 0 else ()):
        along = data.sum(tuple(a for a in axes if a != axis)) / total
        place = spacing * np.arange(len(along))
        squared += float(along @ np.square(place - along @ place))
    return float(np.sqrt(squared))


def _foreground(image: LevelImage) -> Array:
    """Weights of the foreground voxels inside the mask."""
    data = foreground_weight(image.data).astype(np.float64)
    return data if image.mask is None else data * image.mask


def turned(matrix: Array, grid: Grid, reference: Array | None = None) -> bool:
    """Whether the rotation of a map is closer to a permutation of the axes of a grid than to the identity.

    Parameters
    ----------
    matrix : (d + 1, d + 1) array
        World -> world (mm).
    grid : Grid
        Grid whose axes are used.
    reference : (d + 1, d + 1) array, optional
        Map of upright orientation; the identity by default.
    """
    linear = matrix[:-1, :-1]
    if reference is not None:
        linear = linear @ np.linalg.inv(reference[:-1, :-1])
    left, _, right = np.linalg.svd(linear)
    axes = grid.direction
    rotation = np.linalg.solve(axes, left @ right @ axes)
    turns = [np.eye(grid.dim), *quarter_turns(grid.dim)]
    return int(np.argmax([np.sum(turn * rotation) for turn in turns])) > 0


@lru_cache(maxsize=2)
def quarter_turns(d: int) -> tuple[Array, ...]:
    """Rotations that permute the axes, (d, d), except the identity: 3 in 2D, 23 in 3D."""
    found: list[Array] = []
    for order in itertools.permutations(range(d)):
        for signs in itertools.product((1.0, -1.0), repeat=d):
            matrix = np.zeros((d, d))
            matrix[range(d), order] = signs
            if np.linalg.det(matrix) > 0 and not np.array_equal(matrix, np.eye(d)):
                found.append(matrix)
    return tuple(found)


def _rotations(d: int) -> list[Array]:
    if d == 2:
        return [_rotation(np.deg2rad(a), 0, 1, 2) for a in sorted(ANGLES_2D, key=abs)]
    triples = sorted(itertools.product(ANGLES_3D, repeat=3), key=lambda t: sum(map(abs, t)))
    planes = [(0, 1), (0, 2), (1, 2)]
    result: list[Array] = []
    for triple in triples:
        rotation: Array = np.eye(3)
        for angle, (i, j) in zip(triple, planes, strict=True):
            rotation = rotation @ _rotation(np.deg2rad(angle), i, j, 3)
        result.append(rotation)
    return result


def _rotation(angle: float, i: int, j: int, d: int) -> Array:
    matrix = np.eye(d)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _about(rotation: Array, centre: Array, shift: Array) -> Array:
    matrix = np.eye(len(centre) + 1)
    matrix[:-1, :-1] = rotation
    matrix[:-1, -1] = centre - rotation @ centre + shift
    return matrix
