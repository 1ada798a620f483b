"""Deformation along chosen axes: distortion of EPI, and what else moves along one axis."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import varreg
from varreg.data.phantom import brain_phantom
from varreg.images.image import Image

SETTINGS = dict(progress=False, threads=1)


def squeezed(shape=(96, 88), seed=0):
    """(T1, EPI of the same head displaced along j by b, b in voxels, T2): signal piles up where EPI is squeezed."""
    head = brain_phantom(shape, np.random.default_rng(seed), bias=0.0, noise=0.005, blur=1.0)
    x = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    b = 3.5 * np.exp(-((x[0] - 40) ** 2 + (x[1] - 60) ** 2) / 300) - 1.5 * np.sin(x[0] / 15)
    before = x[1].copy()
    for _ in range(100):
        before = x[1] - map_coordinates(b, [x[0], before], order=1, mode="nearest")
    change = map_coordinates(np.gradient(b, axis=1), [x[0], before], order=1, mode="nearest")
    epi = map_coordinates(head.t2, [x[0], before], order=3, mode="nearest") / (1 + change)
    return head.t1, epi.astype(np.float32), b, head.t2


@pytest.fixture(scope="module")
def case():
    return squeezed()


def error(result, case, shift=(0.0, 0.0)):
    """Mean error in voxels where the T1 shows something."""
    t1, _, b, _ = case
    difference = result.displacement - np.stack([0 * b + shift[0], b + shift[1]])
    return float(np.linalg.norm(difference, axis=0)[t1 > 0.1 * t1.max()].mean())


def test_a_field_along_one_axis_is_found_and_nothing_else_moves(case):
    t1, epi, *_ = case
    free = varreg.solve(epi, t1, affine=None, deformable=True, **SETTINGS)
    found = varreg.solve(epi, t1, affine=None, axes="j", **SETTINGS)
    errors = [error(result, case) for result in (found, free)]
    assert errors[0] < 0.3
    assert errors[0] < 0.9 * errors[1]
    assert not found.u[0].any() and found.options.axes == "j"


def test_small_weights_let_the_other_axes_move_a_little(case):
    t1, epi, _, _ = case
    found, free = (
        varreg.solve(epi, t1, affine=None, axes=axes, deformable=True, **SETTINGS)
        for axes in ((0.1, 1), None)
    )
    assert 0 < np.abs(found.u[0]).max() < 0.5 * np.abs(free.u[0]).max()


def test_by_default_headers_that_are_right_beat_a_rigid_map_that_follows_the_distortion(case):
    t1, epi, *_ = case
    found = varreg.solve(epi, t1, axes="j", **SETTINGS)
    assert error(found, case) < 0.3
    assert found.model is None or found.model.affine == "headers"


def test_a_head_that_moved_besides_is_followed_by_a_rigid_map(case):
    t1, epi, *_ = case
    moved = np.diag([1.0, 1, 1])
    moved[:2, 2] = (5.0, -4.0)  # the header of the EPI is wrong by that
    images = Image.from_array(epi, affine=moved), Image.from_array(t1, spacing=1.0)
    found = varreg.solve(*images, axes="j", **SETTINGS)
    assert error(found, case, (5.0, -4.0)) < 1.0
    np.testing.assert_allclose(np.linalg.det(found.affine), 1.0, atol=1e-9)


def test_modulated_intensities_are_those_before_the_distortion(case):
    t1, epi, b, contrast = case
    nodes = np.stack([0 * b, b])
    grid = varreg.Grid.with_spacing(t1.shape)
    truth = varreg.Transform(grid, grid, np.eye(3), nodes)
    inner = (slice(10, -10), slice(10, -10))
    plain, modulated = (truth.warp(epi, "cubic", modulate=m)[inner] for m in (False, True))
    errors = [np.abs(image - contrast[inner]).mean() for image in (plain, modulated)]
    assert errors[1] < 0.3 * errors[0]
    # and the way back squeezes as the distortion did
    again = truth.inverse().warp(contrast, "cubic", modulate=True)[inner]
    assert np.abs(again - epi[inner]).mean() < 0.3 * np.abs(contrast - epi)[inner].mean()


def test_modulation_keeps_the_sum_whatever_the_affine_part():
    x = np.stack(np.meshgrid(*[np.arange(60)] * 2, indexing="ij"))
    blob = np.exp(-((x[0] - 30) ** 2 + (x[1] - 28) ** 2) / 40)
    grid = varreg.Grid.with_spacing(blob.shape)
    matrix = np.array([[0.7, 0.1, 8.0], [-0.1, 0.8, 9.0], [0, 0, 1]])
    transform = varreg.Transform(grid, grid, matrix)
    assert transform.warp(blob, modulate=True).sum() == pytest.approx(blob.sum(), rel=1e-3)
    assert transform.inverse().warp(blob, modulate=True).sum() == pytest.approx(
        blob.sum(), rel=1e-3
    )


def test_a_start_gives_up_what_the_axes_forbid(case):
    t1, epi, *_ = case
    free = varreg.solve(epi, t1, affine=None, deformable=True, **SETTINGS)
    found = varreg.solve(epi, t1, axes="j", start=free, **SETTINGS)
    assert not found.u[0].any() and found.u[1].any()


@pytest.mark.parametrize(
    "axes, words",
    [
        ("k", "the images are 2D: give letters of i, j"),
        ((1, 0, 1), "the images are 2D: give letters of i, j"),
        ("x", "letters of i, j, k"),
        ("jj", "letters of i, j, k"),
        ((0, 0), "a weight from 0 to 1"),
        ((2, 1), "a weight from 0 to 1"),
        ((-1, 1), "a weight from 0 to 1"),
    ],
)
def test_axes_that_are_none_get_a_sentence(case, axes, words):
    with pytest.raises(varreg.InputError, match=words):
        varreg.solve(*case[:2], axes=axes)


def test_any_number_of_threads_gives_the_same_bits(case):
    one, two = (
        varreg.solve(case[1], case[0], affine=None, axes="j", progress=False, threads=n)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.displacement, two.displacement)
