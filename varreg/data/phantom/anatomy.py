"""The label map of an artificial brain: simple shapes, a folded cortex, one lesion.

Lengths are in units of half the field of view.  White matter fills an egg-shaped head up to a depth reduced
by sulci; grey matter is a layer of constant thickness around white matter, like a real
cortex, and fluid fills the rest.  Sulci follow the zero lines of a random sum of plane waves,
so that they are thin, branch and never repeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Vector = tuple[float, float, float]

LABELS = {
    "background": 0,
    "fluid": 1,
    "cortex": 2,
    "white matter": 3,
    "deep grey": 4,
    "ventricle": 5,
    "lesion": 6,
}
AXIAL_HEIGHT = 0.05  # position of the 2D phantom in the 3D one: through ventricles and deep nuclei
HEAD = (0.74, 0.88, 0.76)  # half axes: right, anterior, superior
RIBBON = 0.046  # thickness of the cortex
FOLD_FREQUENCY = 20.0  # of the plane waves; about this many sulci intersect an axial slice


def brain_labels(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Tissue labels of one random brain, see :data:`LABELS`.

    Parameters
    ----------
    shape : tuple of int
        (n, m): an axial slice laid out as a picture (first axis front to back, second axis left to
        right); or (n, m, k): a volume with axes right, anterior, superior.
    rng : numpy.random.Generator
        Random generator of the folds and of position and shape of the lesion.

    Returns
    -------
    (*S) array, uint8

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.anatomy import brain_labels
    >>> sorted(map(int, np.unique(brain_labels((64, 64), np.random.default_rng(0)))))
    [0, 1, 2, 3, 4, 5, 6]
    """
    from scipy.ndimage import distance_transform_edt

    points = _points(shape)
    depth = _depth(points)
    head = depth > 0
    white = _white_depth(points, depth, rng) > 0
    spacing = tuple(2.0 / n for n in shape)
    cortex = head & ~white & (distance_transform_edt(~white, spacing) < RIBBON)

    labels = np.zeros(shape, dtype=np.uint8)
    labels[head] = LABELS["fluid"]
    labels[cortex & (depth > 0.02)] = LABELS["cortex"]
    labels[white] = LABELS["white matter"]
    labels[_lesion(points, rng) & white] = LABELS["lesion"]
    labels[_deep_grey(points) & white] = LABELS["deep grey"]
    labels[_ventricles(points) & head] = LABELS["ventricle"]
    return labels


def _points(shape: tuple[int, ...]) -> Float:
    """(3, *S): right, anterior, superior coordinates of every voxel centre, in [-1, 1]."""
    axes = [(2 * np.arange(n, dtype=np.float32) + 1) / n - 1 for n in shape]
    if len(shape) == 3:
        return np.stack(np.meshgrid(*axes, indexing="ij"))
    back, right = np.meshgrid(*axes, indexing="ij")
    return np.stack([right, -back, np.full_like(back, AXIAL_HEIGHT)])


def _depth(points: Float) -> Float:
    """Depth below the surface of the head, as a fraction of its radius; negative outside."""
    right, anterior, superior = points
    width = HEAD[0] * (1 - 0.12 * anterior)  # the back of a head is wider than its front
    radius = (right / width) ** 2 + (anterior / HEAD[1]) ** 2 + (superior / HEAD[2]) ** 2
    return 1 - np.sqrt(radius)


def _white_depth(points: Float, depth: Float, rng: np.random.Generator) -> Float:
    """Positive inside white matter: sufficiently deep, outside sulci and the midline fissure."""
    right, anterior, superior = points
    bent = points + 0.05 * np.stack([_waves(points, 6.0, 6, rng) for _ in range(3)])
    direction = bent / np.maximum(np.linalg.norm(bent, axis=0), 1e-6)
    # |w| / |grad w| is the distance to the zero line, so all sulci are equally narrow.
    wave = _waves(direction, FOLD_FREQUENCY, 32, rng)
    slopes = np.gradient(wave, *(2.0 / n for n in wave.shape))
    distance = wave / np.sqrt(sum(slope**2 for slope in slopes) + 9.0)
    sulcus = np.exp(-((distance / 0.045) ** 2))
    length = np.clip(0.21 + 0.09 * _waves(direction, 5.0, 6, rng), 0.08, 0.34)
    # The Sylvian fissures: broad, deep, on either side of the head.
    side = (anterior - 0.12) ** 2 + (superior - AXIAL_HEIGHT) ** 2
    sylvian = 0.28 * np.exp(-side / 0.06**2) * (np.abs(right) > 0.2)
    white = depth - 0.10 - np.maximum(length * sulcus, sylvian)
    # The hemispheres are connected only in the middle (corpus callosum and below).
    bridge = 1 - np.sqrt((anterior / 0.42) ** 2 + (superior / 0.35) ** 2)
    fissure = np.abs(right) - 0.06
    return np.minimum(white, np.maximum(fissure, bridge * 0.5))


def _waves(points: Float, frequency: float, count: int, rng: np.random.Generator) -> Float:
    """A smooth random function of variance about 1: plane waves of one frequency."""
    total = np.zeros(points.shape[1:], dtype=np.float32)
    for _ in range(count):
        vector = rng.standard_normal(3)
        vector *= frequency / np.linalg.norm(vector)
        phase = rng.uniform(0, 2 * np.pi)
        total += np.cos(np.tensordot(vector.astype(np.float32), points, 1) + np.float32(phase))
    return total * np.float32(np.sqrt(2 / count))


def _mirrored(points: Float) -> Float:
    """Coordinates with both hemispheres reflected to the right one."""
    return np.concatenate([np.abs(points[:1]), points[1:]])


def _ellipsoid(points: Float, centre: Vector, radii: Vector) -> NDArray[np.bool_]:
    """Mask of an ellipsoid with axes along the coordinates."""
    total = sum(((p - c) / r) ** 2 for p, c, r in zip(points, centre, radii, strict=True))
    return np.asarray(total) < 1


def _capsule(
    points: Float, start: Vector, end: Vector, radius: tuple[float, float]
) -> NDArray[np.bool_]:
    """Mask of a rod from start to end whose radius varies linearly between two values."""
    axis = np.subtract(end, start).astype(np.float32)
    column = (3,) + (1,) * (points.ndim - 1)
    offset = points - np.asarray(start, dtype=np.float32).reshape(column)
    along = np.clip(np.tensordot(axis, offset, 1) / (axis @ axis), 0, 1)
    distance = np.linalg.norm(offset - along * axis.reshape(column), axis=0)
    return np.asarray(distance < radius[0] + (radius[1] - radius[0]) * along)


def _ventricles(points: Float) -> NDArray[np.bool_]:
    """Lateral ventricles (frontal horn, body, occipital horn) and the slit of the third."""
    half = _mirrored(points)
    frontal = _capsule(half, (0.14, 0.36, 0.04), (0.055, 0.10, 0.10), (0.065, 0.035))
    body = _capsule(half, (0.055, 0.10, 0.10), (0.12, -0.16, 0.12), (0.035, 0.05))
    occipital = _capsule(half, (0.15, -0.22, 0.08), (0.23, -0.46, 0.02), (0.065, 0.045))
    third = _ellipsoid(points, (0.0, -0.03, -0.05), (0.022, 0.14, 0.13))
    return frontal | body | occipital | third


def _deep_grey(points: Float) -> NDArray[np.bool_]:
    """Caudate nucleus, putamen with pallidum, thalamus; one of each per hemisphere."""
    half = _mirrored(points)
    caudate = _capsule(half, (0.215, 0.34, 0.05), (0.15, 0.12, 0.10), (0.06, 0.035))
    putamen = _capsule(half, (0.33, 0.24, 0.02), (0.37, -0.02, 0.02), (0.065, 0.05))
    thalamus = _ellipsoid(half, (0.135, -0.06, 0.02), (0.095, 0.13, 0.11))
    return caudate | putamen | thalamus


def _lesion(points: Float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """An irregular lesion in the white matter posterior to the ventricle of one hemisphere."""
    side = rng.choice([-1.0, 1.0])
    place = np.array([side * 0.36, -0.30, AXIAL_HEIGHT]) + rng.uniform(-0.03, 0.03, 3)
    radius = np.linalg.norm(points - place.reshape((3,) + (1,) * (points.ndim - 1)), axis=0)
    return np.asarray(radius < 0.10 + 0.02 * _waves(points, 14.0, 8, rng))
