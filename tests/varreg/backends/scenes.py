"""Images, maps and histogram rows on which backends are compared, and how near they must be."""

import numpy as np
import pytest
from scipy import ndimage

from varreg.backends.arrays import Moving, Warped, Windows
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.geometry.displacement import axis_table
from varreg.similarity.histogram_rows import histogram_rows
from varreg.similarity.volumes import _content, voxel_map

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
BINS = 24
WINDOWS = Windows(4, 0.5)

CASES = {
    "2d": dict(shape=(17, 22), moving=(19, 20), nodes=(17, 22)),
    "2d-few-nodes": dict(shape=(33, 21), moving=(30, 25), nodes=(5, 4)),
    "2d-zero-boundary": dict(shape=(21, 26), moving=(21, 26), nodes=(6, 7), boundary=True),
    "2d-mask": dict(shape=(18, 23), moving=(21, 19), nodes=(7, 9), mask=True),
    "2d-half-out-of-view": dict(shape=(25, 29), moving=(27, 26), nodes=(6, 5), shift=(14, -11)),
    "2d-mirrored": dict(shape=(19, 24), moving=(23, 22), nodes=(5, 6), turn=((1, 0), (0, -1))),
    "2d-turned": dict(shape=(24, 19), moving=(23, 22), nodes=(5, 6), turn=((0, 1), (-1, 0))),
    "3d": dict(shape=(9, 11, 8), moving=(10, 9, 9), nodes=(9, 11, 8)),
    "3d-few-nodes": dict(shape=(13, 10, 11), moving=(9, 12, 13), nodes=(4, 3, 5)),
    "3d-mask": dict(shape=(8, 9, 11), moving=(9, 11, 10), nodes=(3, 4, 4), mask=True),
    "2d-weights": dict(shape=(24, 27), moving=(27, 26), nodes=(6, 5), shift=(4, -3), weights=True),
    "3d-weights": dict(
        shape=(8, 9, 11), moving=(9, 11, 10), nodes=(3, 4, 4), mask=True, weights=True
    ),
    "3d-half-out-of-view": dict(
        shape=(10, 12, 11), moving=(11, 10, 13), nodes=(3, 4, 4), shift=(-4, 3, 6)
    ),
    "3d-turned": dict(
        shape=(10, 12, 11), moving=(11, 10, 13), nodes=(3, 4, 4),
        turn=((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    ),
}  # fmt: skip


class Scene:
    """A moving image, a map that leaves its view on purpose, and a fixed image, all random.

    Where float32 rounds a position, noise differs by more than the rounding of its values; `exact`
    maps consist of short binary fractions, so that all backends look at the same places, and the
    image is smooth, so that cubic coefficients are no larger than its values.
    """

    def __init__(
        self, shape, moving, nodes, dtype, cubic=False, mask=False, boundary=False, shift=0.0,
        turn=None, tilt=0.04, exact=False, seed=0, weights=False,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        d = len(shape)
        self.dtype, self.rng = dtype, rng
        self.shape, size = (1,) * (3 - d) + tuple(shape), (1,) * (3 - d) + tuple(moving)
        span = (2.0, BINS - 3.0) if cubic else (1.0, BINS - 2.0)
        image = rng.uniform(*span, size)
        if exact:
            image = ndimage.gaussian_filter(image, 1)
            image = np.interp(image, (image.min(), image.max()), span)
        if cubic:
            for axis in range(3 - d, 3):
                image = ndimage.spline_filter1d(image, 3, axis, mode="mirror")
        share = np.zeros((0, 0, 0))
        if mask:
            share = np.clip(ndimage.gaussian_filter(rng.normal(size=size), 1.5) * 6 + 0.5, 0, 1)
        self.moving = Moving(
            image=image.astype(dtype), mask=share.astype(dtype),
            limit=np.maximum(np.array(size) - 2, 0).astype(dtype),
            content=_content(np.ones(size, bool)).astype(dtype), cubic=cubic, low=span[0],
            high=span[1],
        )  # fmt: skip
        constraint = "zero-boundary" if boundary else "zero-mean"
        tables = [
            axis_table(np.arange(n), n, m, constraint) for n, m in zip(shape, nodes, strict=True)
        ]
        scale = np.array(moving) / np.array(shape)
        linear = np.zeros((d, d + 1))
        linear[:, :-1] = np.diag(scale) + rng.uniform(-tilt, tilt, (d, d))
        linear[:, -1] = rng.uniform(-0.5, 0.9, d) + shift
        if turn is not None:  # about the centre
            middle = (np.array(moving) - 1) / 2
            linear[:, -1] -= middle
            linear = turn @ linear
            linear[:, -1] += middle
        matrix = np.diag(scale) + rng.uniform(-0.1, 0.1, (d, d))
        self.where = voxel_map(tables, linear, matrix, dtype)
        field = np.zeros((3, *(1,) * (3 - d), *nodes))
        field[3 - d :] = rng.uniform(-0.8, 0.8, (d, *field.shape[1:]))
        self.nodes = field.astype(dtype)
        if exact:
            linear, matrix = short(self.where.linear, 64), short(self.where.displacement_matrix, 4)
            weight = short(self.where.weight, 8)
            self.where = self.where._replace(
                linear=linear, displacement_matrix=matrix, weight=weight
            )
            self.nodes = short(self.nodes, 8)
        self.bins = rng.integers(0, BINS, self.shape)
        self.counted = rng.random(self.shape) >= 0.2
        #: By which weights voxels count that do.
        self.own = rng.random(self.shape).astype(np.float32) if weights else None
        self.values = np.clip(self.bins + rng.uniform(-0.49, 0.49, self.shape), 0, BINS - 1)

    def histogram_rows(self, counts=(1, 1, 1), stride=1):
        """The fixed image as fixed, some voxels masked; a plane is not cut along the first axis."""
        counts = (min(counts[0], self.shape[0]), *counts[1:])
        mask = self.counted if self.own is None else self.counted * self.own
        return histogram_rows(self.bins, BINS, counts, mask, stride)

    def place(self, nodes=None):
        return self.moving, self.where, self.nodes if nodes is None else nodes

    def direction(self):
        """A random direction of the nodes; a plane does not leave itself."""
        direction = self.rng.normal(size=self.nodes.shape)
        return direction * self.nodes.any(axis=(1, 2, 3), keepdims=True)

    def fixed(self):
        """The fixed image as values in bins, for the windows."""
        return np.where(self.counted, self.values, -1).astype(self.dtype)

    def warped(self, backend, threads=1, nodes=None):
        warped = Warped.empty(self.shape, self.dtype)
        warped.weight[...] = np.nan  # only what is defined may be read
        warped.weight_slope[...] = np.nan
        backend.warp(*self.place(nodes), warped, threads)
        return warped

    def rows(self, warped):
        return warped.full.reshape(*self.shape[:2], 1).astype(bool)

    def weight(self, warped):
        return np.where(self.rows(warped), 1, warped.weight)

    def weight_slope(self, warped):
        return np.where(self.rows(warped) | ~self.counted, 0, warped.weight_slope)


def short(values, denominator):
    """Binary fractions of few digits."""
    return (np.round(values * denominator) / denominator).astype(values.dtype)


def scene(case, dtype=np.float64, cubic=False, exact=False):
    return Scene(**CASES[case], dtype=dtype, cubic=cubic, exact=exact)


def tables(fixed):
    """Number of tables that the fixed distinguish."""
    return (fixed.group.max() + 1) * fixed.height // fixed.bins


def close(a, b, dtype):
    scale = max(np.abs(b).max(), 1e-3)
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


every_case = pytest.mark.parametrize("case", CASES)
both_types = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
every_label = pytest.mark.parametrize(
    "label",
    [dict(), dict(counts=(2, 2, 3), stride=2), dict(counts=(1, 1, 2), stride=4)],
    ids=["whole", "regions-stride-2", "regions-stride-4"],
)
both_orders = pytest.mark.parametrize("cubic", [False, True], ids=["linear", "cubic"])
both_backends = pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
