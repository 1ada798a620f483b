"""The map itself: spaces, directions, what is warped and where points go."""

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from varreg.errors import GeometryError, InputError
from varreg.geometry.displacement import evaluate
from varreg.geometry.grid import Grid
from varreg.images.image import Image
from varreg.transforms.transform import Transform


def rotation(degrees, axes, dim):
    """Homogeneous rotation in the plane of two axes."""
    matrix, angle = np.eye(dim + 1), np.deg2rad(degrees)
    a, b = axes
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def translation(*shift):
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, -1] = shift
    return matrix


def smooth_nodes(shape, largest, seed=0):
    """A smooth random field whose largest component is `largest` (mm)."""
    rng = np.random.default_rng(seed)
    nodes = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(shape), 2.0) for _ in range(len(shape))]
    )
    return nodes * (largest / np.abs(nodes).max())


def blob(grid, centre, width):
    """A Gaussian of that width (mm) around a world point."""
    world = grid.voxel_to_world(grid.coordinates())
    offset = world - np.reshape(centre, (-1,) + (1,) * grid.dim)
    return np.exp(-np.sum(offset**2, axis=0) / (2 * width**2)).astype(np.float32)


def centroid(array):
    return np.array([(index * array).sum() / array.sum() for index in np.indices(array.shape)])


OBLIQUE = (
    Grid(
        (30, 26, 14),
        translation(-20, 11, 5) @ rotation(25, (0, 1), 3) @ np.diag([1.2, 1.5, 3.0, 1]),
    ),
    Grid(
        (24, 40, 33),
        translation(30, -14, -9) @ rotation(-40, (0, 2), 3) @ np.diag([-1.7, 1.0, 1.1, 1]),
    ),
)


def oblique_transform(nodes=None):
    """An affine map that brings the two fields of view of OBLIQUE onto each other."""
    fixed, moving = OBLIQUE
    turn = rotation(8, (1, 2), 3) @ np.diag([1.05, 0.96, 1.02, 1])
    affine = translation(*moving.centre) @ turn @ translation(*-fixed.centre)
    return Transform(fixed, moving, affine, nodes)


def test_landmarks_follow_a_known_affine_between_two_oblique_anisotropic_grids():
    transform = oblique_transform()
    fixed, moving = OBLIQUE
    landmarks = fixed.voxel_to_world(np.array([[3.0, 20.5, 11], [4, 9, 25], [2, 7.25, 13]])).T
    expected = landmarks @ transform.affine[:-1, :-1].T + transform.affine[:-1, -1]
    np.testing.assert_allclose(transform.points(landmarks), expected, atol=1e-9)
    voxels = transform.points(fixed.world_to_voxel(landmarks.T).T, space="voxel")
    np.testing.assert_allclose(moving.voxel_to_world(voxels.T).T, expected, atol=1e-9)


def test_coordinates_of_voxels_agree_with_points_on_oblique_grids():
    transform = oblique_transform(smooth_nodes((8, 7, 5), 4.0))
    coordinates = transform.moving_coordinates()
    some = np.array([[0, 0, 0], [29, 25, 13], [12, 3, 7]])
    found = coordinates[(slice(None), *some.T)].T
    np.testing.assert_allclose(found, transform.points(some, space="voxel"), atol=1e-4)
    np.testing.assert_array_equal(transform.moving_coordinates(slice(5, 9)), coordinates[:, 5:9])


def test_u_is_in_mm_along_the_axes_of_the_fixed_array():
    fixed, _ = OBLIQUE
    nodes = np.zeros((3, 2, 2, 2))
    nodes[1] = 6.0
    moved = Transform(fixed, fixed, np.eye(4), nodes).points([[10.0, 10.0, 5.0]], space="voxel")
    np.testing.assert_allclose(moved, [[10, 10 + 6 / 1.5, 5]], atol=1e-9)


def test_a_warped_blob_lands_where_points_say():
    transform = oblique_transform(smooth_nodes((8, 7, 5), 3.0))
    fixed, moving = OBLIQUE
    start = fixed.centre + np.array([3.0, -2.0, 4.0])
    image = blob(moving, transform.points(start), 2.5)
    found = fixed.voxel_to_world(centroid(transform.warp(image)))
    assert np.linalg.norm(found - start) < 0.35


def test_displacement_contract_on_a_shared_grid():
    grid = Grid((40, 36), translation(5, -7) @ rotation(30, (0, 1), 2) @ np.diag([1.0, 2.0, 1]))
    turn = translation(*grid.centre) @ rotation(6, (0, 1), 2) @ translation(*-grid.centre)
    transform = Transform(grid, grid, turn, smooth_nodes((10, 9), 3.0))
    image = ndimage.gaussian_filter(np.random.default_rng(1).random(grid.shape), 1.0)
    index = np.indices(grid.shape) + transform.displacement
    inside = np.all((index >= 0) & (index <= np.reshape(grid.shape, (2, 1, 1)) - 1), axis=0)
    expected = ndimage.map_coordinates(image, index, order=1, mode="nearest")
    np.testing.assert_allclose(transform.warp(image)[inside], expected[inside], atol=1e-5)
    assert transform.displacement.dtype == np.float32


def test_displacement_between_different_grids_is_in_fixed_voxels():
    transform = oblique_transform(smooth_nodes((8, 7, 5), 3.0))
    fixed, _ = OBLIQUE
    voxel = np.array([11, 20, 4])
    world = transform.points(fixed.voxel_to_world(voxel.astype(float)))
    expected = fixed.world_to_voxel(world) - voxel
    np.testing.assert_allclose(transform.displacement[(slice(None), *voxel)], expected, atol=2e-4)


@pytest.mark.parametrize("nodes", [None, np.zeros((3, 4, 4, 4))])
def test_no_motion_is_exactly_no_motion(nodes):
    fixed, _ = OBLIQUE
    transform = Transform(fixed, fixed, np.eye(4), nodes)
    image = np.random.default_rng(0).standard_normal(fixed.shape).astype(np.float32)
    assert not transform.displacement.any()
    assert not transform.u.any()
    np.testing.assert_array_equal(transform.warp(image), image)
    np.testing.assert_array_equal(transform.warp(image, "nearest"), image)
    np.testing.assert_allclose(transform.warp(image, "cubic"), image, atol=1e-5)


@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("shape, nodes", [((150, 21, 60), (9, 5, 7)), ((13, 9), (13, 4))])
def test_u_is_the_field_at_the_voxels(shape, nodes, constraint):
    grid = Grid.with_spacing(shape, 1.5)
    values = smooth_nodes(nodes, 5.0)
    transform = Transform(grid, grid, np.eye(len(shape) + 1), values, constraint)
    expected = evaluate(values, shape, grid.coordinates(), constraint)
    np.testing.assert_allclose(transform.u, expected, atol=1e-5)


def test_beyond_the_field_of_view_is_filled_and_within_half_a_voxel_continued():
    grid = Grid.with_spacing((6, 6))
    image = np.full((6, 6), 7.0, np.float32)
    outside = Transform(grid, grid, translation(0.51, 0)).warp(image, fill=-1)
    inside = Transform(grid, grid, translation(0.49, 0)).warp(image, fill=-1)
    np.testing.assert_array_equal(outside[-1], -1)
    np.testing.assert_array_equal(outside[:-1], 7)
    np.testing.assert_array_equal(inside, 7)


def test_linear_images_are_read_exactly_and_cubic_beats_linear_on_smooth_ones():
    grid = Grid.with_spacing((32, 32))
    transform = Transform(grid, grid, translation(0.4, -0.3))
    x, y = np.indices(grid.shape)
    np.testing.assert_allclose(
        transform.warp(2.0 * x + y)[1:-1, 1:-1], (2.0 * (x + 0.4) + y - 0.3)[1:-1, 1:-1], atol=1e-4
    )
    wave = np.sin(x / 2.0) * np.cos(y / 3.0)
    truth = np.sin((x + 0.4) / 2) * np.cos((y - 0.3) / 3)
    inner = (slice(6, -6),) * 2
    errors = [
        np.abs(transform.warp(wave, kind) - truth)[inner].max() for kind in ("linear", "cubic")
    ]
    assert errors[1] < 0.1 * errors[0]


def test_another_scan_of_the_moving_side_is_read_by_its_own_geometry():
    transform = oblique_transform(smooth_nodes((8, 7, 5), 3.0))
    fixed, moving = OBLIQUE
    fine = moving.resized((36, 60, 33))
    place = transform.points(fixed.centre)
    coarse = transform.warp(blob(moving, place, 4.0))
    other = Image(blob(fine, place, 4.0), fine)
    assert np.abs(transform.warp(other) - coarse).max() < 0.05
    header = nibabel.Nifti1Image(other.data, fine.affine)
    np.testing.assert_allclose(transform.warp(header), transform.warp(other), atol=1e-3)


def test_a_slice_of_a_volume_is_brought_to_the_plane_of_the_transform():
    volume_affine = translation(3, 4, 50) @ rotation(90, (0, 1), 3)
    image = np.random.default_rng(2).random((16, 18)).astype(np.float32)
    stored = nibabel.Nifti1Image(image[..., None], volume_affine)
    from varreg.images.accepted import as_pair

    moving, fixed = as_pair(stored, stored)
    transform = Transform(fixed.grid, moving.grid, np.eye(3), frame=fixed.frame)
    np.testing.assert_allclose(transform.warp(stored), image, atol=1e-5)
    np.testing.assert_array_equal(transform.warp(image[..., None]), transform.warp(image))
    tilted = nibabel.Nifti1Image(image[..., None], rotation(30, (1, 2), 3))
    with pytest.raises(GeometryError, match="30.0 degrees"):
        transform.warp(tilted)


def test_jacobian_of_a_known_map():
    grid = Grid((40, 50), rotation(20, (0, 1), 2) @ np.diag([1.5, 0.8, 1]))
    x, y = np.indices(grid.shape) * np.reshape(grid.spacing, (2, 1, 1))
    u = np.stack([2 * np.sin(x / 9) * np.cos(y / 11), 1.5 * np.cos(x / 7)])
    xx = 2 / 9 * np.cos(x / 9) * np.cos(y / 11)
    xy = -2 / 11 * np.sin(x / 9) * np.sin(y / 11)
    yx = -1.5 / 7 * np.sin(x / 7)
    affine = translation(3, 1) @ np.diag([1.2, 0.9, 1])
    expected = 1.2 * 0.9 * ((1 + xx) * 1.0 - xy * yx)
    found = Transform(grid, grid, affine, u).jacobian()
    inner = (slice(1, -1),) * 2
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-3)


def test_jacobian_in_3d_is_the_same_over_slab_borders():
    grid = Grid.with_spacing((60, 90, 80), (1.0, 2.0, 1.5))
    slope = np.array([[0.1, 0.02, 0], [-0.03, -0.2, 0.05], [0.04, 0, 0.15]])
    mm = np.indices(grid.shape) * np.reshape(grid.spacing, (3, 1, 1, 1))
    u = np.tensordot(slope, mm, axes=1)
    found = Transform(grid, grid, np.diag([2.0, 1, 1, 1]), u).jacobian()
    np.testing.assert_allclose(found, 2 * np.linalg.det(np.eye(3) + slope), atol=1e-3)
    still = Transform(grid, grid, np.diag([2.0, 1, 1, 1])).jacobian()
    np.testing.assert_allclose(still, 2, atol=1e-6)


GRID = Grid.with_spacing((8, 8))
GOOD = Transform(GRID, GRID, np.eye(3))


@pytest.mark.parametrize(
    "arguments",
    [
        (GRID, Grid.with_spacing((8, 8, 8)), np.eye(3)),
        (GRID, GRID, np.eye(4)),
        (GRID, GRID, np.diag([1.0, 0.0, 1.0])),
        (GRID, GRID, np.full((3, 3), np.nan)),
        (GRID, GRID, np.eye(3), np.zeros((3, 4, 4))),
        (GRID, GRID, np.eye(3), np.full((2, 4, 4), np.inf)),
        (GRID, GRID, np.eye(3), np.full((2, 4, 4), 1e30)),
        (GRID, GRID, np.diag([1e308, 1.0, 1.0])),
        (GRID, GRID, np.eye(3), None, "zero"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments):
    with pytest.raises(InputError, match="varreg"):
        Transform(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: GOOD.warp(np.zeros((8, 9))),
        lambda: GOOD.warp(np.zeros((8, 8), complex)),
        lambda: GOOD.warp(np.full((8, 8), np.nan)),
        lambda: GOOD.warp(np.zeros((8, 8)), "quintic"),
        lambda: GOOD.warp(nibabel.Nifti1Image(np.zeros((8, 8, 8)), np.eye(4))),
        lambda: GOOD.warp_labels(np.full((8, 8), 0.5)),
        lambda: GOOD.warp_labels(np.zeros((8, 8), int), "majority"),
        lambda: GOOD.points(np.zeros((4, 3))),
        lambda: GOOD.points(3.0),
        lambda: GOOD.points([[np.nan, 0.0]]),
        lambda: GOOD.points([[1.0, 0.0]], space="mm"),
        lambda: GOOD.inverse(tolerance=0),
        lambda: GOOD.inverse(iterations=0),
        lambda: GOOD.inverse(method="newton"),
    ],
)
def test_unusable_arguments_are_refused_by_name(call):
    with pytest.raises(InputError, match=r"(Transform\.\w+|varreg).*`\w+`"):
        call()


def test_no_points_give_no_points_and_one_point_gives_one():
    assert GOOD.points(np.zeros((0, 2))).shape == (0, 2)
    assert GOOD.points([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_the_direction_is_said_in_words():
    assert "FIXED to MOVING (world mm, RAS+)" in str(GOOD)
