"""Images warped by known random maps, and deliberately wrong starts and matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pairs import HEAD
from warps import RMS, inverse, random_affine, random_field, sample, voxel_grid

Array = NDArray[np.floating]
#: Points at which an error is measured.
POINTS = 1500


def affine_map(d: int, rng: np.random.Generator, shift: float, model: str) -> Array:
    """Turn, scale, shift about the centre; `shift` times that of warps.py."""
    matrix = random_affine(d, rng)
    if model == "rigid":
        left, _, right = np.linalg.svd(matrix[:-1, :-1])
        matrix[:-1, :-1] = left @ right
    matrix[:-1, -1] *= shift
    return matrix


def seen(
    t1: Array,
    t2: Array,
    rng: np.random.Generator,
    spacing: float,
    rms: float,
    model: str,
    edge: float = HEAD,
) -> tuple[Array, Array, Array]:
    """T2 through a random map (rms in mm of its smooth part), and points with their answer, mm."""
    d, shape = t1.ndim, t1.shape
    grid = voxel_grid(shape)
    smooth = random_field(shape, rng) * np.float32(rms / spacing / RMS)
    matrix = affine_map(d, rng, 1 / spacing, model)
    back = np.linalg.inv(matrix)
    centre = (np.array(shape) - 1).reshape((-1,) + (1,) * d) / 2

    def apply(m: Array, x: Array) -> Array:
        return np.tensordot(m[:-1, :-1], x - centre, 1) + m[:-1, -1].reshape(centre.shape) + centre

    moving = np.maximum(sample(t2, apply(matrix, grid + smooth), order=1), 0)
    unwarped = inverse(smooth) if rms else np.zeros_like(smooth)
    there = apply(back, grid)
    there = there + np.stack([sample(c, there) for c in unwarped])
    last = np.array(shape).reshape(centre.shape) - 1
    inside = (t1 > edge) & np.all((there >= 0) & (there <= last), axis=0)
    index = np.argwhere(inside)
    index = index[rng.choice(len(index), min(POINTS, len(index)), replace=False)]
    answer = there[(slice(None), *index.T)].T
    return moving, index * spacing, answer * spacing


def about(linear: Array, shift: Array, centre: Array) -> Array:
    m = np.eye(len(centre) + 1)
    m[:-1, :-1] = linear
    m[:-1, -1] = centre - linear @ centre + shift
    return m


def turn(d: int, degrees: float, rng: np.random.Generator) -> Array:
    i, j = (0, 1) if d == 2 else sorted(rng.choice(3, 2, replace=False))
    m, a = np.eye(d), np.deg2rad(degrees)
    m[i, i] = m[j, j] = np.cos(a)
    m[i, j], m[j, i] = -np.sin(a), np.sin(a)
    return m


def forced(
    at: Array, answer: Array, spacing: float, rng: np.random.Generator
) -> Iterator[tuple[str, dict]]:
    """Bad starts and matrices: names and settings."""
    d, centre, to = at.shape[1], at.mean(0), answer.mean(0) - at.mean(0)
    sign = rng.choice([-1, 1])
    yield (
        "bad start, turned",
        {"start": about(turn(d, sign * rng.uniform(70, 180), rng), to, centre)},
    )
    shift = rng.normal(size=d)
    shift *= rng.uniform(40, 70) / np.linalg.norm(shift)
    yield "bad start, shifted", {"start": about(np.eye(d), to + shift, centre)}
    scales = np.ones(d)
    scales[rng.integers(d)] = rng.uniform(0.35, 0.55)
    yield "matrix, one axis collapsed", {"affine": about(np.diag(scales), to, centre)}
    yield "matrix, shrunk", {"affine": about(np.eye(d) * rng.uniform(0.4, 0.6), to, centre)}
    yield "matrix, blown up", {"affine": about(np.eye(d) * rng.uniform(2.0, 2.6), to, centre)}
    yield "matrix, shifted", {"affine": about(np.eye(d), to + shift / 2, centre)}
    yield (
        "matrix, turned",
        {"affine": about(turn(d, sign * rng.uniform(25, 90), rng), to, centre)},
    )
