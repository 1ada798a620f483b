"""Registration pairs with known ground truth, and the error of a displacement.

A pair is a T1 image (fixed) and the T2 image of the same head (moving), the T2 warped by a
random smooth invertible map psi.  The true displacement is psi^-1(x) - x at every fixed voxel x.  Heads are real
(:func:`manifest_pairs`) or artificial (:func:`phantom_pairs`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from warps import Array, random_map, sample, voxel_grid

#: Slices are cropped or padded to this size.
SLICE_SIZE = 224
#: Intensity above which a voxel belongs to the head; the 99.5th percentile of the head is 1.
HEAD = 0.02
#: Artificial heads: shape and number of pairs unless said otherwise, by dimension.
PHANTOM_SHAPE = {2: (224, 224), 3: (128, 128, 128)}
PHANTOM_COUNT = {2: 4, 3: 1}


@dataclass(frozen=True)
class Pair:
    """Two images on one grid and the map between them.

    Attributes
    ----------
    name : str
    fixed, moving : (*S) array, float32
        Intensities, the head about in [0, 1].
    displacement : (d, *S) array, float32
        The fixed voxel x corresponds to the moving voxel x + displacement(x).
    mask : (*S) array, bool
        Where the answer is judged: the fixed head, as far as its counterpart is in view.
    """

    name: str
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    displacement: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Difficulty:
    """What makes pairs harder than usual.

    Attributes
    ----------
    strength : float
        Times the turn and the shift of the affine part.
    cut : float
        Share of the first axis that the fixed image lacks at its end and the moving one at its
        beginning; the content lies that much further apart, and less of it is in both.
    """

    strength: float = 1.0
    cut: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.strength < 10 and 0 <= self.cut < 0.5):
            raise ValueError(f"Difficulty: strength in (0, 10) and cut in [0, 0.5); got {self}")


USUAL = Difficulty()


def known_pair(
    name: str,
    t1: Array,
    t2: Array,
    rng: np.random.Generator,
    affine: bool,
    difficulty: Difficulty = USUAL,
) -> Pair:
    """The pair of two images (*S) that show the same anatomy voxel by voxel."""
    shape = t1.shape
    psi, answer = random_map(shape, rng, affine, difficulty.strength)
    moving = np.maximum(sample(t2, psi, order=3 if len(shape) == 2 else 1), 0)
    target = voxel_grid(shape) + answer
    last = np.array(shape).reshape((-1,) + (1,) * len(shape)) - 1
    inside = np.all((target >= 0) & (target <= last), axis=0)
    pair = Pair(name, t1.astype(np.float32), moving, answer, (t1 > HEAD) & inside)
    return _cut(pair, round(difficulty.cut * shape[0])) if difficulty.cut else pair


def _cut(pair: Pair, rows: int) -> Pair:
    """The pair without the last rows of the fixed image and the first ones of the moving image."""
    kept = len(pair.fixed) - rows
    answer = pair.displacement[:, :kept].copy()
    answer[0] -= rows
    seen = np.arange(kept).reshape(-1, *[1] * (pair.fixed.ndim - 1)) + answer[0] >= 0
    return Pair(pair.name, pair.fixed[:kept], pair.moving[rows:], answer, pair.mask[:kept] & seen)


def manifest_pairs(
    manifest: Path,
    dimension: int,
    affine: bool,
    seed: int = 0,
    limit: int | None = None,
    subjects: Iterable[str] | None = None,
    difficulty: Difficulty = USUAL,
) -> Iterator[Pair]:
    """Pairs of real heads: two axial slices of each in 2D, the whole volume in 3D.

    Parameters
    ----------
    manifest : Path
        JSON list of ``{"id": ..., "T1": ..., "T2": ...}``, files relative to it.
    dimension : {2, 3}
    affine : bool
        Whether the random map has an affine part.
    seed : int
        One seed gives a subject the same map whatever other subjects are asked for.
    limit : int, optional
        First pairs only.
    subjects : iterable of str, optional
        Ids; all by default.
    difficulty : Difficulty
    """
    entries = json.loads(Path(manifest).read_text())
    wanted = None if subjects is None else set(subjects)
    unknown = (wanted or set()) - {entry["id"] for entry in entries}
    if unknown:
        raise ValueError(f"manifest_pairs: no subject {', '.join(sorted(unknown))} in the manifest")
    count = 0
    for index, entry in enumerate(entries):
        if (wanted is not None and entry["id"] not in wanted) or count == limit:
            continue
        t1, t2 = (read_volume(Path(manifest).parent / entry[contrast]) for contrast in ("T1", "T2"))
        for k, (suffix, a, b) in enumerate(_cuts(t1, t2, dimension)):
            if count == limit:
                break
            rng = np.random.default_rng([seed, index, k, dimension, int(affine)])
            yield known_pair(entry["id"] + suffix, a, b, rng, affine, difficulty)
            count += 1


def phantom_pairs(
    dimension: int,
    affine: bool,
    seed: int = 0,
    limit: int | None = None,
    size: int | None = None,
) -> Iterator[Pair]:
    """Pairs of artificial heads, which need no file; `size` is the number of voxels per axis."""
    import checkout  # noqa: F401

    from varreg.data.phantom import deformed_pair

    shape = PHANTOM_SHAPE[dimension] if size is None else (size,) * dimension
    for index in range(PHANTOM_COUNT[dimension] if limit is None else limit):
        rng = np.random.default_rng([seed, index, dimension, int(affine)])
        made = deformed_pair(shape, rng, affine=affine)
        fixed, moving = (np.asarray(image, np.float32) for image in (made.fixed, made.moving))
        yield Pair(f"phantom {index}", fixed, moving, made.displacement, made.mask)


def scores(pair: Pair, displacement: Array) -> dict[str, float]:
    """Target registration error over the mask (``tre``, its 95th percentile ``p95``; voxels) and
    the share of voxels where the map folds (``folds``, %).
    """
    error = np.sqrt(((displacement - pair.displacement) ** 2).sum(0))[pair.mask]
    return {
        "tre": float(error.mean()),
        "p95": float(np.percentile(error, 95)),
        "folds": folded_percent(displacement),
    }


def folded_percent(displacement: Array) -> float:
    """Percentage of voxels where det(id + grad u), by central differences, is not positive."""
    rows = [np.stack(np.gradient(component)) for component in displacement]
    for axis, row in enumerate(rows):
        row[axis] += 1
    if len(rows) == 2:
        determinant = rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    else:
        determinant = (rows[0] * np.cross(rows[1], rows[2], axis=0)).sum(0)
    return 100.0 * float((determinant <= 0).mean())


def save_pairs(pairs: Iterable[Pair], folder: Path) -> None:
    """Write pairs for another process, one numbered file each."""
    for index, pair in enumerate(pairs):
        values = {field.name: getattr(pair, field.name) for field in fields(Pair)}
        np.savez(Path(folder) / f"{index:04d}.npz", **values)


def load_pair(file: Path) -> Pair:
    """One pair of :func:`save_pairs`."""
    with np.load(file) as saved:
        return Pair(str(saved["name"]), *(saved[field.name] for field in fields(Pair)[1:]))


def load_pairs(folder: Path) -> list[Pair]:
    """All pairs of :func:`save_pairs`, in order."""
    return [load_pair(file) for file in sorted(Path(folder).glob("*.npz"))]


def read_volume(file: Path) -> NDArray[np.float32]:
    """A volume along the axes of the world, or a slice as it is, scaled so that the head ends at 1."""
    import nibabel

    image = nibabel.load(file)
    if image.ndim > 2:
        image = nibabel.as_closest_canonical(image)
    data = np.squeeze(np.maximum(image.get_fdata(dtype=np.float32), 0))
    return data / np.percentile(data[data > 0], 99.5)


def _cuts(t1: Array, t2: Array, dimension: int) -> Iterator[tuple[str, Array, Array]]:
    """(suffix of the name, T1, T2): the volumes, or two slices through the full part of the head.

    Images that are slices are taken as they are.
    """
    if dimension == t1.ndim == 2:
        yield "", fitted(t1, SLICE_SIZE), fitted(t2, SLICE_SIZE)
        return
    if dimension == 3:
        yield "", t1, t2
        return
    area = (t1 > HEAD).sum((0, 1)).astype(float)
    filled = np.flatnonzero(area > 0.6 * area.max())
    for z in filled[[len(filled) // 3, (2 * len(filled)) // 3]]:
        yield f":z{z}", fitted(t1[:, :, z], SLICE_SIZE), fitted(t2[:, :, z], SLICE_SIZE)


def fitted(image: Array, size: int) -> Array:
    """Centre crop or zero padding of every axis to `size`."""
    for axis, n in enumerate(image.shape):
        low = (size - n) // 2
        if low >= 0:
            width = [(0, 0)] * image.ndim
            width[axis] = (low, size - n - low)
            image = np.pad(image, width)
        else:
            image = np.take(image, range(-low, size - low), axis=axis)
    return image
