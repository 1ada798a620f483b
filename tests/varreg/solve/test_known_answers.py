"""The whole way from images to a result: known maps are found again, and the identity stays."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import brain_phantom
from varreg.images.image import Image
from varreg.optimise.history import Stop

from .measures import initial_error, mean_error


def test_a_known_deformation_of_a_slice_is_recovered(plane):
    result = varreg.solve(plane.moving, plane.fixed, threads=2)
    assert initial_error(plane) > 2
    assert mean_error(result, plane) < 0.15 * initial_error(plane)
    assert result.energy.total < result.start_energy.total


def test_a_known_deformation_of_a_volume_is_recovered(volume):
    result = varreg.solve(volume.moving, volume.fixed, threads=2)
    assert mean_error(result, volume) < 0.5 * initial_error(volume)
    assert result.smallest_determinant > 0


@pytest.mark.parametrize("which", ["plane", "volume"])
def test_every_fourth_row_is_enough_for_a_few_nodes(which, request):
    pair = request.getfixturevalue(which)
    settings = dict(smoothness_length=8.0, regions=6, threads=2)
    every, some = (
        varreg.solve(pair.moving, pair.fixed, samples_per_node=n, **settings) for n in (None, 16)
    )
    assert some.energy != every.energy
    assert mean_error(every, pair) < 0.5 * initial_error(pair)
    assert mean_error(some, pair) < mean_error(every, pair) + 0.1 * initial_error(pair)


def test_the_deformable_stage_improves_on_the_affine_one(bent):
    affine = varreg.solve(bent.moving, bent.fixed, deformable=False, threads=1)
    both = varreg.solve(bent.moving, bent.fixed, threads=1)
    assert mean_error(both, bent) < 0.6 * mean_error(affine, bent)


def test_the_warped_image_resembles_the_moving_anatomy_on_the_fixed_grid(bent):
    result = varreg.solve(bent.moving, bent.fixed, threads=1)
    labels = result.warp_labels(bent.labels_moving)

    def overlap(a, b):
        return 2 * ((a > 0) & (b > 0) & (a == b)).sum() / ((a > 0).sum() + (b > 0).sum())

    before, after = (overlap(x, bent.labels_fixed) for x in (bent.labels_moving, labels))
    assert after > before + 0.05
    assert after > 0.83


@pytest.mark.parametrize(
    "settings",
    [dict(), dict(affine=None), dict(affine="rigid"), dict(affine=np.eye(3)), dict(preset="paper"),
     dict(constraint="zero-boundary"), dict(preset="cfir"), dict(interpolation="cubic")],
    ids=lambda s: "-".join(map(str, s)) or "default",
)  # fmt: skip
def test_an_image_onto_itself_does_not_move_at_all(plane, settings):
    result = varreg.solve(plane.fixed.copy(), plane.fixed, threads=1, **settings)
    assert result.stop is Stop.IDENTICAL
    assert (result.u == 0).all()
    assert (result.displacement == 0).all()
    np.testing.assert_array_equal(result.warped.data, plane.fixed)
    np.testing.assert_array_equal(result.affine, np.eye(3))


@pytest.mark.parametrize("which", ["plane", "volume"])
@pytest.mark.parametrize("factor", [2.0, 0.3, -1.0])
def test_the_same_image_in_other_units_is_registered_and_stays_near(which, factor, request):
    """Only images that agree voxel by voxel are not left to the descent."""
    pair = request.getfixturevalue(which)
    moving = (factor * pair.fixed).astype(np.float32)
    result = varreg.solve(moving, pair.fixed, threads=2)
    assert result.stop is not Stop.IDENTICAL and result.history
    moved = np.linalg.norm(result.displacement, axis=0)[pair.mask]
    assert moved.mean() < 0.1
    same = varreg.solve(moving, moving.copy(), threads=2)
    assert same.stop is Stop.IDENTICAL and not same.displacement.any()


def test_an_image_onto_itself_in_another_place_is_brought_there(plane):
    """The same voxels with a shifted header are not the identity."""
    there = np.array([[1.0, 0, 4], [0, 1, -3], [0, 0, 1]])
    moving = Image.from_array(plane.fixed, affine=there)
    result = varreg.solve(moving, plane.fixed, affine="translation", deformable=False, threads=1)
    np.testing.assert_allclose(result.affine, there, atol=0.1)
    assert result.stop is not Stop.IDENTICAL


def test_a_whole_voxel_shift_is_found_to_a_hundredth():
    fixed = brain_phantom((80, 80), np.random.default_rng(3)).t1
    fixed = np.pad(fixed, 12)
    moving = 1 - np.roll(fixed, (5, -4), axis=(0, 1))
    result = varreg.solve(moving, fixed, affine="translation", deformable=False, threads=1)
    np.testing.assert_allclose(result.affine[:2, 2], [5, -4], atol=0.02)
