"""The phantom: is its answer an answer, and is it the same brain every time?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from varreg.data.phantom.anatomy import LABELS, brain_labels
from varreg.data.phantom.pairs import BLUR, T2, brain_phantom, deformed_pair
from varreg.data.phantom.random_map import random_invertible_map, sample, voxel_grid
from varreg.errors import InputError

SHAPES = [(97, 112), (48, 57, 50)]


def pull(image, displacement, order):
    """The image at x + displacement(x), by SciPy and not by the package."""
    points = np.indices(image.shape) + displacement
    return map_coordinates(image, points, order=order, mode="nearest")


def determinants(displacement):
    """det(id + grad u) with differences of neighbours."""
    dim = displacement.shape[0]
    gradient = np.stack([np.stack(np.gradient(c)) for c in displacement]) + 0.0
    gradient = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(dim)
    return np.linalg.det(gradient)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_tissue_is_there_and_images_fit_the_labels(shape):
    phantom = brain_phantom(shape, np.random.default_rng(1))
    assert set(np.unique(phantom.labels)) == set(LABELS.values())
    assert phantom.t1.dtype == phantom.t2.dtype == np.float32
    assert phantom.t1.shape == phantom.t2.shape == phantom.labels.shape == shape
    assert not phantom.t1[phantom.labels == 0].any()

    def mean(image, tissue):
        return image[phantom.labels == LABELS[tissue]].mean()

    assert mean(phantom.t1, "white matter") > mean(phantom.t1, "cortex") > mean(phantom.t1, "fluid")
    assert mean(phantom.t2, "white matter") < mean(phantom.t2, "cortex") < mean(phantom.t2, "fluid")
    assert mean(phantom.t2, "lesion") > 1.5 * mean(phantom.t2, "white matter")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_true_map_brings_the_moving_brain_onto_the_fixed_one(shape):
    pair = deformed_pair(shape, np.random.default_rng(3), bias=0.0, noise=0.0)
    inside = pair.mask
    assert 0.15 < inside.mean() < 0.9
    anatomy = pull(pair.labels_moving, pair.displacement, order=0)
    before = (pair.labels_moving == pair.labels_fixed)[inside].mean()
    after = (anatomy == pair.labels_fixed)[inside].mean()
    # Two roundings to the nearest voxel, and thin structures: not 1, but far above the start.
    assert after > 0.93 and after - before > 0.1

    # The T2-like image of the fixed anatomy, with the point spread that the moving image has too.
    wanted = gaussian_filter(np.array(T2)[pair.labels_fixed], BLUR)
    start = np.corrcoef(pair.moving[inside], wanted[inside])[0, 1]
    end = np.corrcoef(pull(pair.moving, pair.displacement, 1)[inside], wanted[inside])[0, 1]
    assert end > 0.9 and end > start + 0.15


@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_inverts_the_map_and_does_not_fold(shape):
    psi, displacement = random_invertible_map(shape, np.random.default_rng(5), 2.0, 9.0, True)
    grid = voxel_grid(shape)
    there = grid + displacement
    last = np.reshape(shape, (-1,) + (1,) * len(shape)) - 1
    inside = np.all((there > 0) & (there < last), axis=0)
    back = np.stack([sample(component, there) for component in psi])
    # psi is a linear map of a field sampled at voxels, so interpolating it loses nothing.
    np.testing.assert_allclose((back - grid)[:, inside], 0, atol=1e-3)
    assert determinants(displacement).min() > 0.2


def test_without_affine_part_and_noise_the_map_has_the_size_asked_for():
    rng = np.random.default_rng(2)
    pair = deformed_pair((128, 128), rng, affine=False, displacement_rms=2.0, correlation_length=14)
    centre = pair.displacement[:, 26:-26, 26:-26]
    assert np.sqrt((centre**2).sum(axis=0).mean()) == pytest.approx(2.0, rel=0.15)


def test_a_seed_is_an_anatomy():
    first, again, other = (deformed_pair((64, 64), np.random.default_rng(s)) for s in (7, 7, 8))
    for name in ("fixed", "moving", "displacement", "mask", "labels_fixed", "labels_moving"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.labels_fixed != other.labels_fixed).mean() > 0.02


def test_the_slice_is_laid_out_as_a_picture():
    labels = brain_labels((96, 96), np.random.default_rng(0))
    rows, columns = np.nonzero(labels)
    assert np.ptp(rows) > np.ptp(columns)  # heads are longer than wide, front at the top
    ventricle = np.nonzero(labels == LABELS["ventricle"])[1]
    assert abs(ventricle.mean() - 47.5) < 0.5  # left and right alike


@pytest.mark.parametrize("shape", [(64,), (64, 31), (32, 32, 32, 32), (64.5, 64)])
def test_shapes_that_hold_no_brain_are_refused(shape):
    with pytest.raises(InputError, match="`shape` must be two or three whole numbers"):
        deformed_pair(shape, np.random.default_rng(0))
    with pytest.raises(InputError, match="brain_phantom: `shape`"):
        brain_phantom(shape, np.random.default_rng(0))


def test_a_map_that_would_fold_is_refused():
    with pytest.raises(InputError, match="raise `correlation_length`"):
        deformed_pair(
            (64, 64), np.random.default_rng(0), displacement_rms=9.0, correlation_length=3.0
        )
