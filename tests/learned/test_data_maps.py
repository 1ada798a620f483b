"""Random fields and maps: their statistics, their determinants, and that the truth is the truth."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from learned.affine import compose_affine
from learned.data.augmentation import random_flips, warp_scene
from learned.data.random_fields import seeded_generator, smooth_noise, uniform
from learned.data.random_maps import (
    POSE,
    WarpRanges,
    random_affine,
    random_displacement,
    random_map,
)
from learned.inverse import jacobian_determinant
from learned.spatial import identity_grid, view_weight, warp
from varreg.errors import InputError

SHAPES = [(40, 33), (17, 20, 25)]
both_dimensions = pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])


def test_generators_depend_on_every_number_and_on_their_order():
    positions = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 2), (0, 0), (1,), (2**32,), (0, 1)]
    first, again = ([seeded_generator(*p).initial_seed() for p in positions] for _ in range(2))
    assert first == again and len(set(first)) == len(positions)
    assert all(0 <= seed < 2**63 for seed in first)
    with pytest.raises(InputError, match=">= 0"):
        seeded_generator(0, -1)


def test_uniform_is_in_its_range():
    generator = seeded_generator(0)
    draws = [uniform(-2, 3, generator) for _ in range(2000)]
    assert -2 <= min(draws) < -1.98 and 2.98 < max(draws) < 3
    assert np.mean(draws) == pytest.approx(0.5, abs=0.1)


def test_smooth_noise_is_the_spline_of_its_coefficients():
    shape, spacing = (11, 8), 4.0
    coefficients = torch.randn([2, 6, 5], generator=seeded_generator(5)).numpy()
    expected = coefficients.astype(float) * (315 / 151)
    for axis, (n, count) in enumerate(zip(shape, (3, 2), strict=True), start=1):
        position = (np.arange(n) + 0.5) * count / n
        spline = BSpline(np.arange(-3, count + 4), np.eye(count + 3), 3)(position)
        expected = np.moveaxis(np.tensordot(spline, expected, (1, axis)), 0, axis)
    field = smooth_noise(shape, spacing, 2, seeded_generator(5))
    assert np.allclose(field.numpy(), expected, atol=1e-5)


@both_dimensions
def test_smooth_noise_has_unit_variance_and_no_preferred_axis(shape):
    field = smooth_noise(shape, 3.0, 400, seeded_generator(1))
    assert field.dtype == torch.float32
    assert float(field.square().mean()) == pytest.approx(1, abs=0.03)
    cell = 3 * smooth_noise((90,) * len(shape), 9.0, 1, seeded_generator(1))[0].diff(dim=0).std()
    for axis in range(1, len(shape)):
        other = (
            smooth_noise((90,) * len(shape), 9.0, 1, seeded_generator(1))[0].diff(dim=axis).std()
        )
        assert float(3 * other) == pytest.approx(float(cell), rel=0.25)


@pytest.mark.parametrize("spacing", [0, 0.5, float("nan"), float("inf")])
def test_smooth_noise_refuses_spacings_without_sense(spacing):
    with pytest.raises(InputError, match="`spacing`"):
        smooth_noise((8, 8), spacing, 1, seeded_generator(0))


# --- maps ---------------------------------------------------------------------------------------


@both_dimensions
def test_affine_maps_stay_in_their_ranges(shape):
    d = len(shape)
    ranges = WarpRanges(shear=0.0, shift=0.12)
    angles, scales, shifts = [], [], []
    for seed in range(300):
        affine = random_affine(shape, ranges, seeded_generator(seed))[0].double()
        linear = affine[:, :d]
        u, s, vt = torch.linalg.svd(linear)
        rotation = u @ vt if torch.det(linear) > 0 else None
        assert rotation is not None
        trace = float(rotation.trace())
        angles.append(
            np.degrees(np.arccos(np.clip(trace / 2 if d == 2 else (trace - 1) / 2, -1, 1)))
        )
        scales += s.tolist()
        shifts.append((affine[:, d] / 2 * max(shape)).numpy() / np.array(shape))
    assert 17 < max(angles) <= 20.0001
    assert 0.8499 <= min(scales) < 0.87 and 1.13 < max(scales) <= 1.1501
    assert 0.11 < np.abs(shifts).max() <= 0.12001
    assert np.abs(np.mean(shifts)) < 0.02


def test_shear_alone_keeps_volumes():
    ranges = WarpRanges(rotation=0, scale=(1, 1), shear=0.3, shift=0)
    affine = random_affine((9, 9, 9), ranges, seeded_generator(0))[0]
    assert float(torch.det(affine[:, :3])) == pytest.approx(1, abs=1e-6)
    assert 0.01 < float((affine[:, :3] - torch.eye(3)).abs().max()) <= 0.3


@both_dimensions
def test_displacements_do_not_fold_however_strong_they_are_asked_to_be(shape):
    ranges = WarpRanges(amplitude=0.5, spacing=(0.1, 0.3), smallest_determinant=0.3)
    smallest = [
        float(jacobian_determinant(random_displacement(shape, ranges, seeded_generator(s))).min())
        for s in range(8)
    ]
    assert min(smallest) >= 0.3 and min(smallest) < 0.75  # the damping is needed, and not too much


@both_dimensions
def test_displacements_are_no_longer_than_asked(shape):
    ranges = WarpRanges(amplitude=0.05, spacing=(0.3, 0.4))
    lengths = [
        float(random_displacement(shape, ranges, seeded_generator(s)).norm(dim=1).max())
        for s in range(60)
    ]
    assert 0.04 * max(shape) < max(lengths) <= 0.05 * max(shape) * 1.0001
    assert min(lengths) < 0.01 * max(shape)


@both_dimensions
@pytest.mark.parametrize("ranges", [WarpRanges(), POSE], ids=["warp", "pose"])
def test_whole_maps_do_not_fold(shape, ranges):
    for seed in range(8):
        drawn = random_map(shape, ranges, seeded_generator(seed))
        assert float(jacobian_determinant(drawn.displacement).min()) > 0
        linear = drawn.affine[0, :, :-1]
        assert float(torch.det(linear)) > 0.6**3


@both_dimensions
def test_a_map_is_its_affine_part_after_a_smooth_displacement(shape):
    ranges = WarpRanges(amplitude=0.0, mild=0.0)
    drawn = random_map(shape, ranges, seeded_generator(3))
    still = torch.zeros_like(drawn.displacement)
    assert torch.equal(drawn.displacement, compose_affine(drawn.affine, still))
    full = random_map(shape, WarpRanges(mild=0.0), seeded_generator(3))
    assert torch.equal(full.affine, drawn.affine)
    apart = (full.displacement - drawn.displacement).norm(dim=1).max()
    assert 0 < float(apart) <= 1.2 * 0.04 * max(shape)


def test_nothing_asked_is_nothing_moved():
    drawn = random_map((16, 18), WarpRanges().shrunk(0), seeded_generator(0))
    assert float(drawn.displacement.abs().max()) == 0


def test_some_maps_are_mild():
    def rms(mild):
        maps = [random_map((24, 24), WarpRanges(mild=mild), seeded_generator(s)) for s in range(80)]
        return np.array([float(m.displacement.square().mean().sqrt()) for m in maps])

    assert rms(1.0).mean() < 0.65 * rms(0.0).mean()
    assert np.quantile(rms(1.0), 0.1) < 0.4


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": -1}, {"rotation": float("nan")}, {"scale": (1.1, 0.9)}, {"scale": (0, 1)},
        {"shear": 2}, {"shift": -0.1}, {"amplitude": 3}, {"spacing": (0, 1)}, {"mild": 2},
        {"smallest_determinant": 0},
    ],
)  # fmt: skip
def test_ranges_without_sense_are_refused(change):
    (name,) = change
    with pytest.raises(InputError, match=rf"`WarpRanges\({name}=...\)` must be"):
        WarpRanges(**change)


@pytest.mark.parametrize("draw", [random_affine, random_displacement, random_map])
def test_maps_need_a_shape(draw):
    with pytest.raises(InputError, match="`shape` must be"):
        draw((8, 8, 8, 8), WarpRanges(), seeded_generator(0))


# --- scenes -------------------------------------------------------------------------------------


def scene_of(shape, seed, pose=POSE):
    """The coordinates of the scene as the images: each shows where it was taken from."""
    pose = random_map(shape, pose, seeded_generator(seed, 0)).displacement.double()
    truth = random_map(shape, WarpRanges(), seeded_generator(seed, 1)).displacement.double()
    where = identity_grid(shape, pose)[None]
    return warp_scene(where, where, pose, truth), pose, truth, where


@both_dimensions
def test_truth_leads_from_the_fixed_to_the_moving_image(shape):
    for seed in range(4):
        scene, pose, truth, where = scene_of(shape, seed)
        # moving, read at x + truth(x), is fixed wherever moving shows its source itself
        whole = (view_weight(pose, shape) == 1).double()
        reached = (view_weight(truth, shape) == 1) & (warp(whole, truth) > 1 - 1e-9)
        assert float(reached.double().mean()) > 0.25
        found = warp(scene.moving, truth)
        assert float(((found - scene.fixed) * reached).abs().max()) < 1e-9
        assert torch.equal(scene.truth, truth)
        # and not at x: the test can fail
        assert float(((scene.moving - scene.fixed) * reached).abs().max()) > 0.5


@both_dimensions
def test_landmarks_of_the_scene(shape):
    """Without a pose the fixed voxel x shows the scene at x + truth(x), and the moving one at x."""
    scene, _, truth, where = scene_of(shape, 7, WarpRanges().shrunk(0))
    assert torch.equal(scene.moving, where)
    last = torch.tensor(shape).reshape(1, -1, *[1] * len(shape)) - 1
    target = where + truth
    inside = ((target >= 0) & (target <= last)).all(1, keepdim=True)
    assert float(((scene.fixed - target) * inside).abs().max()) < 1e-9
    gone = ((target < -1) | (target > last + 1)).any(1, keepdim=True)
    assert gone.any() and float((scene.fixed * gone).abs().max()) == 0


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (4, 5, 4), (3, 3, 3)])
def test_flips_move_voxels_of_all_images_alike(shape):
    images = torch.arange(2 * int(np.prod(shape))).reshape(2, *shape)
    seen = set()
    for seed in range(200):
        flipped = random_flips(images, seeded_generator(seed))
        assert flipped.shape == images.shape
        assert torch.equal(flipped[1] - flipped[0], torch.full(shape, int(np.prod(shape))))
        assert torch.equal(flipped[0].flatten().sort().values, images[0].flatten())
        seen.add(tuple(flipped[0].flatten().tolist()))
    equal = max(shape.count(n) for n in shape)
    permutations = {1: 1, 2: 2, 3: 6}[equal]
    assert len(seen) == permutations * 2 ** len(shape)
