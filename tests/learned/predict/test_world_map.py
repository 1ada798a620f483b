"""The map in world space, from what the network says."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from learned.affine import affine_displacement
from learned.cascade import Cascade
from learned.grids import network_grid
from varreg.geometry.matrices import transform_points
from varreg.images.intensities import unit_intensities
from varreg.transforms.transform import Transform

from .pairs import (
    SHAPES,
    Known,
    blobs,
    both_dimensions,
    expected_grid,
    pair_on,
    predict,
    shaken,
    some_affine,
    waves,
)


def by_hand(affine, network, x, u):
    """World point of the moving side for the network's voxel x, displaced by u: (d, n) each."""
    size = np.array(network.shape)[:, None]
    half = size.max() / 2
    centred = (x + u - (size - 1) / 2) / half
    y = affine[:, :-1] @ centred + affine[:, -1:]
    return network.voxel_to_world(y * half + (size - 1) / 2)


@both_dimensions
def test_landmarks_map_where_the_network_says(d):
    """u linear in the voxel: exact between voxels too, away from the border."""
    slope = 0.03 * np.arange(1, d * d + 1).reshape(d, d) / d - 0.02
    middle = (np.array(SHAPES[d]) - 1) / 2

    def bend(x):
        return np.tensordot(slope, x - middle.reshape(-1, *[1] * d), 1)

    moving, fixed = pair_on(d)
    affine, network = some_affine(d), expected_grid(d)
    prediction = predict(Known(affine, bend), moving, fixed, SHAPES[d])
    rng = np.random.default_rng(1)
    inside = rng.uniform(2.5, np.array(fixed.grid.shape) - 3.5, (60, d))
    world = fixed.grid.voxel_to_world(inside.T)
    x = network.world_to_voxel(world)
    wanted = by_hand(affine, network, x, bend(x.reshape(d, *[-1, *[1] * (d - 1)])).reshape(d, -1))
    voxels = moving.grid.world_to_voxel(wanted).T
    assert np.abs(wanted - world).max() > 2  # it does move
    assert np.abs(prediction.points(inside, space="voxel") - voxels).max() < 1e-3
    assert np.abs(prediction.points(world.T) - wanted.T).max() < 1e-3
    total = prediction.displacement[(slice(None), *np.rint(inside).astype(int).T)]
    x = network.world_to_voxel(fixed.grid.voxel_to_world(np.rint(inside).T))
    wanted = by_hand(affine, network, x, bend(x.reshape(d, *[-1, *[1] * (d - 1)])).reshape(d, -1))
    assert np.abs(total - fixed.grid.world_to_voxel(wanted) + np.rint(inside).T).max() < 1e-3


@both_dimensions
@pytest.mark.parametrize("spacing", [None, 0.55])
def test_any_displacement_is_read_at_every_fixed_voxel(d, spacing):
    """Also with voxels of another size, where the network sees a part only and u goes on constantly."""

    def rough(x):
        return np.sin(x[::-1] * 0.9) + 0.1 * x

    moving, fixed = pair_on(d)
    prediction = predict(Known(some_affine(d), rough), moving, fixed, SHAPES[d], spacing=spacing)
    network = expected_grid(d)
    if spacing is not None:
        network = network_grid(fixed.grid, SHAPES[d], spacing)
        assert np.allclose(network.spacing, spacing) and np.allclose(
            network.centre, fixed.grid.centre
        )
    voxels = fixed.grid.coordinates().reshape(d, -1)
    x = network.world_to_voxel(fixed.grid.voxel_to_world(voxels))
    field = rough(np.indices(network.shape, dtype=float))
    u = np.stack([map_coordinates(part, x, order=1, mode="nearest") for part in field])
    wanted = by_hand(some_affine(d), network, x, u)
    assert np.abs(prediction.points(voxels.T, space="voxel").T
                  - moving.grid.world_to_voxel(wanted)).max() < 1e-3  # fmt: skip


@both_dimensions
def test_warped_image_is_the_moving_one_at_the_mapped_points(d):
    def bend(x):
        return 0.8 * np.sin(x[::-1] / 6)

    moving, fixed = pair_on(d)
    affine, network = np.eye(d, d + 1) + 0.3 * (some_affine(d) - np.eye(d, d + 1)), expected_grid(d)
    prediction = predict(Known(affine, bend), moving, fixed, SHAPES[d])
    voxels = fixed.grid.coordinates().reshape(d, -1)
    x = network.world_to_voxel(fixed.grid.voxel_to_world(voxels))
    u = np.stack([map_coordinates(part, x, order=1, mode="nearest")
                  for part in bend(np.indices(network.shape, dtype=float))])  # fmt: skip
    points = by_hand(affine, network, x, u)
    where = moving.grid.world_to_voxel(points)
    limit = np.array(moving.grid.shape)[:, None] - 1
    seen = np.all((where >= 0) & (where <= limit), axis=0)
    assert seen.mean() > 0.4
    difference = prediction.warped.data.reshape(-1)[seen] - waves(points)[seen]
    assert np.abs(difference).max() < 0.04  # of linear interpolation
    assert (
        np.abs(prediction.warped.data.reshape(-1) - waves(network.voxel_to_world(x)))[seen].mean()
        > 3 * np.abs(difference).mean()
    )


@both_dimensions
def test_identity_is_exactly_the_identity(d):
    moving, fixed = pair_on(d)
    prediction = predict(Known(np.eye(d, d + 1)), moving, fixed, SHAPES[d])
    assert np.array_equal(prediction.affine, np.eye(d + 1))
    assert prediction.transform.nodes is None and prediction.smallest_determinant == 1
    header = Transform(fixed.grid, moving.grid, np.eye(d + 1))
    assert np.array_equal(prediction.warped.data, header.warp(moving))
    assert not prediction.displacement.any()


def test_an_untrained_cascade_is_the_identity():
    moving, fixed = blobs((37, 52)), blobs((37, 52), 1)
    prediction = predict(Cascade.build(shape=(32, 32), at_width=2, dt_width=2), moving, fixed)
    assert np.array_equal(prediction.warped.data, moving)


def test_same_map_as_the_cascade_itself_on_its_own_grid():
    """x -> A(x + u(x)): the total displacement and the warped image are those of learned.affine."""
    cascade = shaken().eval()
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    units = [unit_intensities(image, None) for image in (moving, fixed)]
    tensors = [torch.from_numpy(unit)[None, None] for unit in units]
    with torch.inference_mode():
        answer = cascade(*tensors)
    prediction = predict(cascade, moving, fixed)
    assert answer.displacement.abs().max() > 0.05 and answer.total.abs().max() > 0.5
    assert np.abs(prediction.displacement - answer.total[0].numpy()).max() < 1e-4
    seen = answer.view[0, 0].numpy() == 1
    assert seen.mean() > 0.5
    assert np.abs(prediction.warp(units[0]) - answer.warped[0, 0].numpy())[seen].max() < 1e-4
    linear = affine_displacement(answer.affine, (32, 32))[0].numpy()
    assert np.abs(Transform(*[prediction.fixed.grid] * 2, prediction.affine).displacement
                  - linear).max() < 1e-4  # fmt: skip


def test_total_map_is_the_affine_after_the_displacement():
    moving, fixed = pair_on(2)
    prediction = predict(shaken(), moving, fixed)
    points = fixed.grid.voxel_to_world(fixed.grid.coordinates()).reshape(2, -1)
    direction = fixed.grid.direction
    moved = points + direction @ prediction.u.reshape(2, -1)
    assert np.abs(prediction.u).max() > 0.02
    wanted = transform_points(prediction.affine, moved)
    assert np.abs(prediction.points(points.T).T - wanted).max() < 1e-4
    inverse = prediction.inverse()
    there = prediction.points(points.T[500:600])
    assert np.abs(inverse.points(there) - points.T[500:600]).max() < 1e-2


def test_displacement_goes_on_constantly_to_the_border():
    prediction = predict(Known(np.eye(2, 3), lambda x: 1 + 0 * x), *[blobs((32, 32))] * 2)
    edge = np.array([[-0.5, -0.5], [0, 0], [31.5, 20], [40, -9]])
    assert np.allclose(prediction.points(edge, space="voxel"), edge + 1)


def test_bound_on_the_determinant_is_the_smallest_of_the_cells():
    def fold(x):
        return np.stack([np.where(x[0] > 20, -1.5 * (x[0] - 20), 0.0), 0 * x[0]])

    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    assert predict(Known(np.eye(2, 3), fold), moving, fixed).smallest_determinant == pytest.approx(
        -0.5
    )
    mild = predict(Known(np.eye(2, 3), lambda x: 0.3 * fold(x)), moving, fixed)
    assert mild.smallest_determinant == pytest.approx(0.55)
    assert mild.jacobian().min() == pytest.approx(0.55, abs=1e-3)
