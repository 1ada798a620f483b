"""nitransforms, both ways."""

from __future__ import annotations

import numpy as np
import pytest

import varreg
from varreg.errors import GeometryError, InputError
from varreg.exchange.nitransforms_objects import to_nitransforms
from varreg.images.nifti import nifti_image

from .cases import case, peer

linear = peer("nitransforms.linear")
manip = peer("nitransforms.manip")
nonlinear = peer("nitransforms.nonlinear")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def voxels_of(grid):
    """World points at voxels, where it does not matter how a tool interpolates."""
    index = np.random.default_rng(0).integers(1, np.array(grid.shape) - 1, (50, 3))
    return grid.voxel_to_world(index.T * 1.0).T


def test_an_affine_map():
    one = case(3)
    theirs = to_nitransforms(one.affine_only)
    one.check_points(theirs.map(one.landmarks), one.affine_only)
    read = varreg.read_transform(theirs, one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(read.affine, one.transform.affine, atol=1e-12)


def test_a_chain():
    one = case(3)
    theirs = to_nitransforms(one.transform)
    points = voxels_of(one.transform.fixed)
    np.testing.assert_allclose(theirs.map(points), one.transform.points(points), atol=0.01)
    read = varreg.read_transform(theirs, one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(read.nodes, one.transform.nodes, atol=1e-6)


def test_an_image_is_resampled_as_we_do():
    resampling = peer("nitransforms.resampling")
    one = case(3)
    theirs = to_nitransforms(one.transform)
    moving = nifti_image(one.image, one.transform.moving.affine)
    one.check_image(np.asarray(resampling.apply(theirs, moving, order=1).dataobj), tolerance=1e-3)


def test_a_chain_of_theirs_is_read():
    """First an affine map, then a field on another grid: sampled at the fixed voxels."""
    one = case(3)
    grid = one.transform.moving
    field = np.random.default_rng(0).uniform(-1, 1, (*grid.shape, 3))
    reference = nifti_image(np.zeros(grid.shape, np.uint8), grid.affine)
    dense = nonlinear.DenseFieldTransform(field, is_deltas=True, reference=reference)
    first = np.eye(4)
    first[:3, 3] = grid.voxel_to_world(np.array([20.0, 20, 20])) - one.landmarks[0]
    around = varreg.Grid((8, 8, 8), _around(one.landmarks[0]))
    affine = linear.Affine(first, reference=nifti_image(np.zeros((8, 8, 8)), around.affine))
    chain = manip.TransformChain([affine, dense])
    read = varreg.read_transform(chain, around, grid)
    moved = read.points(one.landmarks[0])
    np.testing.assert_allclose(moved, chain.map(one.landmarks[:1])[0], atol=0.01)


def test_what_nitransforms_has_no_form_for():
    with pytest.raises(GeometryError, match="3D"):
        to_nitransforms(case(2).transform)
    grids = case(3).transform.fixed, case(3).transform.moving
    many = linear.LinearTransformsMapping([np.eye(4), np.eye(4)])
    with pytest.raises(InputError, match="LinearTransformsMapping"):
        varreg.read_transform(many, *grids)


def _around(point):
    """The affine of a grid that has a voxel at a point."""
    affine = np.eye(4)
    affine[:3, 3] = point - 4
    return affine
