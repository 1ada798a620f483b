"""Results to be saved."""

import math

import nibabel
import numpy as np

from varreg.geometry.grid import Grid
from varreg.images.accepted import as_pair
from varreg.images.image import Image
from varreg.optimise.check import Check
from varreg.optimise.history import Energy, HeadMotion, Iteration, Level, Stop
from varreg.options.options import Options
from varreg.results.result import Result
from varreg.transforms.transform import Transform


def make(fixed, moving, nodes, frame=None, **changes):
    """A result that no solver made, with numbers that are hard to write down."""
    dim = fixed.grid.dim
    affine = np.eye(dim + 1)
    affine[:-1] += np.random.default_rng(7).normal(0, 0.01, (dim, dim + 1))
    transform = Transform(fixed.grid, moving.grid, affine, nodes, "zero-boundary", frame)
    return Result(
        transform=transform,
        warped=Image(
            transform.warp(moving),
            fixed.grid,
            "warped",
            fixed.frame,
            fixed.volume_shape,
            fixed.slice_step,
        ),
        fixed_name="T1.nii.gz",
        moving_name="Tübingen 'T2'.nii",
        energy=Energy(0.1 + 0.2, 1 / 3, -math.pi),
        start_energy=Energy(0.5, 0.0, -0.5),
        history=tuple(
            Iteration("deformable", 1, 2.0, i, -i / 7, i / 9, 0.0, 0.1, 2, 1e-9, 0.3, math.inf)
            for i in range(5)
        ),
        levels=(Level("deformable", 1, 2.0, fixed.grid.shape, 5, 8, Stop.BUDGET, 0.01, 0.2),),
        options=Options(iterations=(5, 3), levels=(2, 1), fixed_range=(0, 1.5)),
        smallest_determinant=0.6123456789,
        overlap=0.987,
        checks=(
            Check("scales", 1 / 3, 1.3, True, "Scaled by 1/3.", "Try 'rigid'."),
            Check("volume", math.inf, 1.7, False, "It mirrors.", "Look."),
        ),
        motion=HeadMotion(1 / 7, 2.5, 0.05),
        provenance={"varreg": "0.1.0", "backend": "numba", "threads": 2, "seconds": {"all": 0.2}},
        fixed=fixed,
        moving=moving,
        **changes,
    )


def volume():
    rng = np.random.default_rng(0)
    affine = np.array([[0, 1.5, 0.1, 3], [-1.1, 0, 0, 1 / 3], [0, 0.1, 2, 9], [0, 0, 0, 1]])
    fixed = Image(rng.random((9, 8, 7), np.float32), Grid((9, 8, 7), affine))
    moving = Image(rng.random((7, 9, 8), np.float32), Grid((7, 9, 8), affine))
    return make(fixed, moving, rng.standard_normal((3, 4, 5, 3)))


def slice_of_a_volume():
    rng = np.random.default_rng(1)
    affine = np.array([[0, 1.5, 0, 3], [-1.1, 0, 0, 1 / 3], [0, 0, 2, 9], [0, 0, 0, 1]])
    images = [nibabel.Nifti1Image(rng.random((9, 8, 1), np.float32), affine) for _ in range(2)]
    moving, fixed = as_pair(*images)
    return make(fixed, moving, rng.standard_normal((2, 4, 5)), fixed.frame)


def same(a, b):
    return (a is None and b is None) or (np.array_equal(a, b) and a.dtype == b.dtype)
