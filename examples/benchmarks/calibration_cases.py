"""Maps of known error between two images, for calibration.py.

Two coinciding contrasts of one head, one of them warped by a random map, in slices and volumes, degraded or not; and
a map between them computed by the solver, with default or restricted options or from a wrong start, or the true map with
a random error, as made by other tools.  The sets ``calibrate`` and ``report`` share no heads and no random numbers;
``phantom`` are artificial heads, ``people`` pairs of different people, ``stains`` of two stains.  A case depends on its
number only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from known_cases import image, reduced
from known_maps import about, forced, turn
from numpy.typing import NDArray
from other_cases import people, stains
from pairs import HEAD, fitted, read_volume
from scipy import ndimage
from warps import RMS, inverse, random_affine, random_field, sample, voxel_grid

Array = NDArray[np.floating]
HEADS = {"calibrate": ("ms07", "mni"), "report": ("du7294", "ms19")}
SEED = {"calibrate": 11, "report": 12, "phantom": 13}
#: Every so many cases is a volume, of voxels of so many mm; slices have 1 mm or, this often, 2 mm.
VOLUME_EVERY, VOLUME_MM, COARSE = 12, (3, 4), 0.3
CONTRASTS = ("T1", "T2", "FLAIR", "T1c")
#: Share of the pairs that are T1 and T2; the others are any two contrasts.
USUAL = 0.6
#: Root mean square of the smooth part of the random maps, mm, and strength of the affine part.
SMOOTH, STRENGTH = (0.0, 1.0, 2.0, 3.0, 5.0), (0.3, 1.0, 2.0)
#: Shares of what is done to the images.
DEGRADED = {"": 0.6, "noise": 0.15, "shading": 0.15, "blurred": 0.1}
#: Shares of the kinds of maps that are judged.
ANSWERS = {
    "default": 0.42, "affine alone": 0.06, "few steps": 0.05, "other energy": 0.05,
    "true map with an error": 0.24, "nothing": 0.03, "matrix, nearly right": 0.06, "wrong": 0.09,
}  # fmt: skip
#: Root mean square of the errors of true maps, mm, log-uniform.
ERRORS = (0.2, 6.0)
POINTS = 1500


@dataclass(frozen=True)
class Case:
    """A map between two images, and where points of the fixed head belong.

    Attributes
    ----------
    kind, name : str
    moving, fixed : varreg.Image
    answer : dict or (d, *S) array
        Settings of ``varreg.solve``, or a displacement in fixed voxels.
    at, there : (n, d) arrays
        Points of the fixed image and their counterparts, world.
    """

    kind: str
    name: str
    moving: Any
    fixed: Any
    answer: Any
    at: Array
    there: Array


def case(data: Path, which: str, index: int) -> Case:
    """One case of a set."""
    if which in ("people", "stains"):
        found = _shifted(data, which)[index]
        return Case(
            f"{found.kind}; default",
            found.name,
            found.moving,
            found.fixed,
            {},
            found.at,
            found.answer,
        )
    rng = np.random.default_rng([SEED[which], index])
    if which == "phantom":
        return _phantom(index, rng)
    name, one, two = _contrasts(data, HEADS[which][(index + index // VOLUME_EVERY) % 2], rng)
    if index % VOLUME_EVERY == VOLUME_EVERY - 1:
        spacing = int(rng.choice(VOLUME_MM))
    else:
        one, two = _slices(one, two, rng)
        spacing = 2 if rng.random() < COARSE else 1
    return _known(
        f"{name}, {index}", reduced(one, spacing), reduced(two, spacing), float(spacing), rng
    )


@lru_cache(maxsize=1)
def _shifted(data: Path, which: str) -> list[Any]:
    """Cases of verdict.py: different people, or stains of consecutive cuts."""
    if which == "people":
        return [found for found in people(data, "report") if found.kind == "3D, people"]
    found = stains(data, "report", np.random.default_rng(0))
    return [each for each in found if each.kind == "2D, stains"]


@lru_cache(maxsize=8)
def _volume(file: Path) -> NDArray[np.float32]:
    return read_volume(file)


def _contrasts(data: Path, head: str, rng: np.random.Generator) -> tuple[str, Array, Array]:
    """Two contrasts of a head."""
    entry = next(e for e in json.loads((data / "manifest.json").read_text()) if e["id"] == head)
    names = [name for name in CONTRASTS if name in entry]
    one, two = (
        ("T1", "T2") if rng.random() < USUAL else map(str, rng.choice(names, 2, replace=False))
    )
    if rng.random() < 0.5:
        one, two = two, one
    return f"{head} {two} -> {one}", _volume(data / entry[one]), _volume(data / entry[two])


def _slices(one: Array, two: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """A slice across any axis through the full part of the head."""
    axis = int(rng.integers(3))
    area = (one > HEAD).sum(tuple(k for k in range(3) if k != axis)).astype(float)
    z = int(rng.choice(np.flatnonzero(area > 0.6 * area.max())))
    return fitted(one.take(z, axis), 224), fitted(two.take(z, axis), 224)


def _known(name: str, one: Array, two: Array, spacing: float, rng: np.random.Generator) -> Case:
    """`two`, seen through a random map and degraded, is to be brought onto `one`."""
    rms, strength = float(rng.choice(SMOOTH)), float(rng.choice(STRENGTH))
    moving, displacement, inside = _seen(one, two, rng, spacing, rms, strength)
    how = str(rng.choice(list(DEGRADED), p=list(DEGRADED.values())))
    moving, fixed = _degraded(moving, how, rng), _degraded(one, how if how == "noise" else "", rng)
    return _judged(
        f"{one.ndim}D {how}".strip(), name, moving, fixed, displacement, inside, spacing, rng
    )


def _phantom(index: int, rng: np.random.Generator) -> Case:
    from varreg.data.phantom import deformed_pair

    made = deformed_pair((192, 176), rng)
    images = (np.asarray(a, np.float32) for a in (made.moving, made.fixed))
    return _judged("2D", f"phantom {index}", *images, made.displacement, made.mask, 1.0, rng)


def _judged(
    kind: str, name: str, moving: Array, fixed: Array, displacement: Array, inside: Array,
    spacing: float, rng: np.random.Generator,
) -> Case:  # fmt: skip
    """The case of a pair whose displacement (voxels) is known, and a map between its images."""
    index = np.argwhere(inside)
    index = index[rng.choice(len(index), min(POINTS, len(index)), replace=False)]
    at = index * spacing
    there = at + displacement[(slice(None), *index.T)].T * spacing
    answer, settings = _answer(displacement, at, there, spacing, rng)
    pair = image(moving, spacing), image(fixed, spacing)
    return Case(f"{kind}; {answer}", name, *pair, settings, at, there)


def _seen(
    one: Array, two: Array, rng: np.random.Generator, spacing: float, rms: float, strength: float
) -> tuple[Array, Array, Array]:
    """`two` through a random map, the displacement (voxels) of the answer, and where it is known."""
    d, shape = one.ndim, one.shape
    grid = voxel_grid(shape)
    smooth = random_field(shape, rng) * np.float32(rms / spacing / RMS)
    matrix = random_affine(d, rng, strength)
    matrix[:-1, -1] /= spacing
    if rng.random() < 0.3:  # rigid
        left, _, right = np.linalg.svd(matrix[:-1, :-1])
        matrix[:-1, :-1] = left @ right
    centre = (np.array(shape) - 1).reshape((-1,) + (1,) * d) / 2

    def apply(m: Array, x: Array) -> Array:
        return np.tensordot(m[:-1, :-1], x - centre, 1) + m[:-1, -1].reshape(centre.shape) + centre

    moving = np.maximum(sample(two, apply(matrix, grid + smooth), order=1), 0)
    there = apply(np.linalg.inv(matrix), grid)
    if rms:
        there = there + np.stack([sample(component, there) for component in inverse(smooth)])
    last = np.array(shape).reshape(centre.shape) - 1
    inside = (one > HEAD) & np.all((there >= 0) & (there <= last), axis=0)
    return moving, there - grid, inside


def _degraded(a: Array, how: str, rng: np.random.Generator) -> Array:
    if how == "noise":
        return a + rng.uniform(0.01, 0.08) * rng.standard_normal(a.shape)
    if how == "shading":
        field = ndimage.gaussian_filter(rng.standard_normal(a.shape), [n / 4 for n in a.shape])
        return a * np.exp(rng.uniform(0.1, 0.4) * field / field.std())
    if how == "blurred":
        return ndimage.gaussian_filter(a, rng.uniform(0.7, 1.5))
    return a


def _answer(
    displacement: Array, at: Array, there: Array, spacing: float, rng: np.random.Generator
) -> tuple[str, Any]:
    """Kind of the map that is judged, and settings of ``solve`` or a displacement."""
    kind = str(rng.choice(list(ANSWERS), p=list(ANSWERS.values())))
    d, shift = at.shape[1], there.mean(0) - at.mean(0)
    if kind == "affine alone":
        return kind, {"deformable": False}
    if kind == "few steps":
        return kind, {"iterations": int(rng.integers(0, 4))}
    if kind == "other energy":
        return kind, {"preset": str(rng.choice(["fast", "paper"]))}
    if kind == "true map with an error":
        rms = float(np.exp(rng.uniform(*np.log(ERRORS)))) / spacing
        error = random_field(displacement.shape[1:], rng) * np.float32(rms / RMS)
        return kind, (displacement + error).astype(np.float32)
    if kind == "nothing":
        return kind, np.zeros_like(displacement, dtype=np.float32)
    if kind == "matrix, nearly right":
        turned, apart = turn(d, rng.uniform(-8, 8), rng), rng.normal(size=d) * rng.uniform(0.5, 6)
        return kind, {"affine": about(turned, shift + apart, at.mean(0))}
    if kind == "wrong":
        wrong = list(forced(at, there, spacing, rng))
        return kind, wrong[rng.integers(len(wrong))][1]
    return kind, {}
