"""Chains of maps, and what becomes of a transform on its way through one."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import varreg
from varreg.errors import GeometryError, InputError
from varreg.exchange.chain import AffineMap, Chain, FieldMap
from varreg.exchange.composing import chain_of, inverted, transform_of
from varreg.exchange.plane import conjugated, lps, plane_matrix
from varreg.images import slices
from varreg.images.grids import grid_pair
from varreg.transforms.transform import Transform

from .cases import case, rotation, translation

DIMENSIONS = pytest.mark.parametrize("dim", [2, 3])


@DIMENSIONS
def test_a_transform_survives_its_chain(dim):
    one = case(dim)
    again = transform_of(chain_of(one.transform), one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(again.nodes, one.transform.nodes, atol=1e-6)
    np.testing.assert_array_equal(again.affine, one.transform.affine)


@DIMENSIONS
def test_parts_are_applied_from_the_first_to_the_last(dim):
    one = case(dim)
    turn, shift = rotation(30, (0, 1), dim), translation(*(5, -3, 2)[:dim])
    chain = Chain((AffineMap(turn), AffineMap(shift), *chain_of(one.transform).parts), dim)
    points = one.landmarks
    expected = one.transform.points(AffineMap(shift @ turn).points(points.T).T)
    np.testing.assert_allclose(chain.points(points.T).T, expected, atol=1e-6)
    assert len(chain.parts) == 3  # neighbouring matrices are one


@DIMENSIONS
def test_any_chain_is_right_at_the_fixed_voxels(dim):
    """A field between two affine maps has no form A(x + u) but at the voxels."""
    one = case(dim)
    before = AffineMap(rotation(4, (0, 1), dim))
    chain = Chain((before, *chain_of(one.transform).parts, AffineMap(lps(dim))), dim)
    found = transform_of(chain, one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(found.affine, lps(dim) @ one.transform.affine @ before.matrix)
    grid = one.transform.fixed
    world = grid.voxel_to_world(grid.coordinates().reshape(dim, -1))
    np.testing.assert_allclose(found.points(world.T).T, chain.points(world), atol=1e-4)


@given(st.integers(0, 2**31), st.sampled_from([2, 3]))
def test_conjugation_is_undone_by_itself(seed, dim):
    matrix = np.eye(dim + 1)
    matrix[:-1] = np.random.default_rng(seed).uniform(-3, 3, (dim, dim + 1))
    again = conjugated(conjugated(matrix, lps(dim)), lps(dim))
    np.testing.assert_allclose(again, matrix, atol=1e-12)


def test_a_field_ends_as_its_tool_wants_it():
    grid = varreg.Grid.with_spacing((4, 4))
    ones = np.ones((2, 4, 4))
    points = np.array([[3.4, 3.6, -0.4, 2.5], [1.0, 1.0, 1.0, 1.0]])
    for outside, moved in (
        ("zero", [1, 0, 1, 1]),
        ("edge", [1, 1, 1, 1]),
        ("spline", [0, 0, 0, 1]),
    ):
        change = FieldMap(grid, ones, outside=outside).points(points) - points
        np.testing.assert_allclose(change[0], moved, atol=1e-12)


@DIMENSIONS
def test_the_inverse_is_a_transform_of_its_own(dim):
    one = case(dim)
    back = inverted(one.transform)
    assert back.fixed is one.transform.moving and back.moving is one.transform.fixed
    voxels = np.random.default_rng(0).integers(0, back.fixed.shape, (200, dim))
    world = back.fixed.voxel_to_world(voxels.T * 1.0).T
    np.testing.assert_allclose(one.transform.points(back.points(world)), world, atol=2e-3)


def test_an_inverse_that_does_not_exist_is_refused():
    grid = varreg.Grid.with_spacing((16, 16))
    folded = np.random.default_rng(0).normal(scale=5, size=(2, 16, 16))
    with pytest.raises(GeometryError, match="inverse is off by"):
        inverted(Transform(grid, grid, np.eye(3), folded))


def test_fields_that_make_no_sense_are_refused():
    grid = varreg.Grid.with_spacing((4, 4))
    with pytest.raises(GeometryError, match="shape"):
        FieldMap(grid, np.zeros((2, 4, 5)))
    with pytest.raises(GeometryError, match="NaN"):
        FieldMap(grid, np.full((2, 4, 4), np.nan))
    with pytest.raises(GeometryError, match="2D"):
        Chain((AffineMap(np.eye(4)),), 2)


def slice_of(affine, shape=(20, 24)):
    return nibabel.Nifti1Image(np.zeros((*shape, 1), np.float32), affine)


def test_axial_slices_meet_the_tools_in_the_x_y_plane():
    """The in-plane world of a slice runs along its first axis; that of the tools does not."""
    tilt = rotation(20, (0, 1), 3)
    fixed = slice_of(translation(3, 5, 7) @ tilt @ np.diag([-2.0, 1.5, 3, 1]))
    moving = slice_of(translation(-3, 1, 7) @ np.diag([1.0, 1.5, 3, 1]))
    target, source, frame = grid_pair(fixed, moving, "test")
    step = plane_matrix(frame, 2)
    np.testing.assert_allclose(
        step @ target.affine, fixed.affine[[0, 1, 3]][:, [0, 1, 3]], atol=1e-6
    )
    np.testing.assert_allclose(
        step @ source.affine, moving.affine[[0, 1, 3]][:, [0, 1, 3]], atol=1e-6
    )
    shift = translation(4.0, -2.0)
    transform = transform_of(Chain((AffineMap(shift),), 2), target, source, frame)
    np.testing.assert_allclose(chain_of(transform).affine, shift, atol=1e-12)
    # the fixed voxel (0, 0) lies at (3, 5), is moved to (7, 3), which is a voxel of moving
    expected = np.linalg.solve(moving.affine, [7, 3, 7, 1])[:2]
    np.testing.assert_allclose(transform.points([0.0, 0.0], space="voxel"), expected, atol=1e-5)


def test_slices_in_other_planes_have_no_2d_world():
    affine = np.eye(4)[[2, 0, 1, 3]]  # sagittal
    target, source, frame = grid_pair(slice_of(affine), slice_of(affine), "test")
    with pytest.raises(GeometryError, match="not axial"):
        chain_of(Transform(target, source, np.eye(3), None, "zero-mean", frame))
    _, frame, _ = slices.split_affine(rotation(3, (1, 2), 3), 2)
    with pytest.raises(GeometryError, match="not axial"):
        plane_matrix(frame, 2)


def test_the_two_images_must_fit_each_other():
    with pytest.raises(InputError, match="`moving` is missing"):
        grid_pair(np.zeros((8, 8)), None, "test")
    with pytest.raises(InputError, match="both must be 2D or both 3D"):
        grid_pair(np.zeros((8, 8)), np.zeros((8, 8, 8)), "test")
    with pytest.raises(GeometryError, match="planes are 90.0 degrees apart"):
        grid_pair(slice_of(np.eye(4)), slice_of(np.eye(4)[[2, 0, 1, 3]]), "test")
