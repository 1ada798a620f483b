"""A network's answer becomes a map in world space, exactly; what is no pair or no network is refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.ndimage import map_coordinates

import learned
import learned.predict  # noqa: F401  it must not hide the function of its name
import varreg
from learned import weights
from learned.affine import affine_displacement
from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.data.manifest import Subject
from learned.data.volumes import isotropic_grid, load_volume
from learned.inference import Registrar
from learned.loading import registrar
from learned.model_file import save_model
from learned.network_grid import network_grid, resampled
from varreg.errors import DivergenceError, FileError, GeometryError, InputError, OverlapError
from varreg.geometry.grid import Grid
from varreg.geometry.matrices import transform_points
from varreg.images.intensities import unit_intensities
from varreg.images.level_image import LevelImage
from varreg.transforms.transform import Transform

command = sys.modules["learned.predict"].main
ROOT = Path(varreg.__file__).resolve().parents[1]
SMALL = ModelConfig(shape=(32, 32), at_width=2, dt_width=2, scales=(2, 1))
both_dimensions = pytest.mark.parametrize("d", [2, 3])


def rotation(d, degrees=20.0):
    """In the plane of the last two axes, then of the first two."""
    result = np.eye(d)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    for k in range(d - 2, -1, -1):
        turn = np.eye(d)
        turn[k : k + 2, k : k + 2] = [[c, -s], [s, c]]
        result = result @ turn
    return result


def oblique(shape, spacing, degrees=20.0, corner=7.0):
    d = len(shape)
    affine = np.eye(d + 1)
    affine[:d, :d] = rotation(d, degrees) * np.array(spacing)
    affine[:d, d] = corner * np.arange(1, d + 1)
    return Grid(shape, affine)


def fixed_grid(d):
    return oblique((26, 41, 17)[:d], (1.4, 0.7, 1.9)[:d])


def moving_grid(d):
    """Another orientation and size, about the same centre."""
    shape, spacing = (33, 25, 21)[:d], (0.9, 1.5, 1.6)[:d]
    grid = oblique(shape, spacing, -31.0)
    affine = grid.affine.copy()
    affine[:d, d] += fixed_grid(d).centre - grid.centre + 1.0
    return Grid(shape, affine)


def image_on(grid, value):
    """An image of a function of world points (d, ...)."""
    data = value(grid.voxel_to_world(grid.coordinates())).astype(np.float32)
    return varreg.Image.from_array(data, affine=grid.affine)


def waves(points):
    """Smooth: half a millimetre changes it by little."""
    return 1 + np.sin(points[0] / 5) * np.cos(points[-1] / 7)


def pair_on(d):
    return image_on(moving_grid(d), waves), image_on(fixed_grid(d), waves)


class Known(torch.nn.Module):
    """A network whose answer is given: A, and u as a function of the grid's voxels (d, *S)."""

    def __init__(self, affine, displacement=np.zeros_like):
        super().__init__()
        self.affine, self.displacement = np.asarray(affine), displacement
        self.seen = None

    def forward(self, moving, fixed):
        self.seen = moving, fixed
        u = self.displacement(np.indices(moving.shape[2:], dtype=float))
        affine, u = (torch.from_numpy(np.float32(a)) for a in (self.affine, u))
        answer = [a.expand(len(moving), *a.shape) for a in (affine, u)]
        return SimpleNamespace(affine=answer[0], displacement=answer[1])


def some_affine(d):
    affine = np.eye(d, d + 1)
    affine[:, :d] += 0.05 * np.arange(1, d * d + 1).reshape(d, d) / d
    affine[:, d] = 0.04 * np.arange(1, d + 1)
    return affine


SHAPES = {2: (40, 32), 3: (20, 16, 24)}


def expected_grid(d):
    """The network's grid, by its definition: all of the fixed field of view, cubic voxels."""
    fixed, size = fixed_grid(d), np.array(SHAPES[d])
    edge = (np.array(fixed.shape) * fixed.spacing / size).max()
    affine = np.eye(d + 1)
    affine[:d, :d] = fixed.direction * edge
    affine[:d, d] = fixed.centre - affine[:d, :d] @ ((size - 1) / 2)
    return Grid(SHAPES[d], affine)


def by_hand(affine, network, x, u):
    """World point of the moving side for the network's voxel x, displaced by u: (d, n) each."""
    size = np.array(network.shape)[:, None]
    half = size.max() / 2
    centred = (x + u - (size - 1) / 2) / half
    y = affine[:, :-1] @ centred + affine[:, -1:]
    return network.voxel_to_world(y * half + (size - 1) / 2)


def shaken(size=0.05, **options):
    """A cascade whose heads do something, as after some training."""
    settings = dict(shape=(32, 32), at_width=2, dt_width=2, scales=(2, 1)) | options
    cascade = Cascade.build(**settings)
    for name, parameter in cascade.named_parameters():
        if "head" in name or "flow" in name:
            generator = torch.Generator().manual_seed(len(name))
            parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return cascade


def blobs(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = np.indices(shape, dtype=float)
    middles = rng.uniform(0.25, 0.75, (5, len(shape))) * shape
    bumps = [np.exp(-((x.T - m) ** 2).sum(-1).T / (0.03 * np.prod(shape))) for m in middles]
    return sum(w * b for w, b in zip(rng.uniform(0.3, 1, 5), bumps, strict=True)).astype(np.float32)


def predict(network, moving, fixed, shape=(32, 32), **options):
    return Registrar(network, shape, "known").predict(moving, fixed, threads=1, **options)


# --- from the network to the world ------------------------------------------------------------------


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


# --- what the network sees --------------------------------------------------------------------------


@both_dimensions
def test_network_sees_both_images_in_world_space(d):
    moving, fixed = pair_on(d)
    known = Known(np.eye(d, d + 1))
    predict(known, moving, fixed, SHAPES[d])
    seen = [image[0, 0].numpy() for image in known.seen]
    network = expected_grid(d)
    points = network.voxel_to_world(network.coordinates())
    for image, data in zip((moving, fixed), seen, strict=True):
        where = image.grid.world_to_voxel(points)
        limit = np.array(image.grid.shape).reshape(-1, *[1] * d)
        inside = np.all((where > 1) & (where < limit - 2), axis=0)
        wanted = unit_intensities(np.float32(waves(points)), tuple(map(float, _range(image))))
        assert inside.mean() > 0.2
        assert np.abs(data - wanted)[inside].max() < 0.07
        assert not data[np.any((where < -0.6) | (where > limit - 0.4), axis=0)].any()


def _range(image):
    from varreg.images.intensities import robust_range

    return robust_range(image.data)


@pytest.mark.parametrize("shape", [(32, 32), (30, 31), (31, 25)])
def test_voxels_of_the_same_size_are_taken_as_they_are(shape):
    fixed = Grid.with_spacing(shape, 0.8)
    known = Known(np.eye(2, 3))
    image = varreg.Image.from_array(blobs(shape), spacing=0.8)
    predict(known, image, image, spacing=0.8)
    data = known.seen[1][0, 0].numpy()
    index = np.linalg.solve(fixed.affine, network_grid(fixed, (32, 32), 0.8).affine)
    low = -np.rint(index[:2, 2]).astype(int)
    assert np.abs(index - np.rint(index)).max() < 1e-12 and (low >= 0).all()
    part = data[low[0] : low[0] + shape[0], low[1] : low[1] + shape[1]]
    assert np.array_equal(part, unit_intensities(image.data, None))
    assert data.sum() == pytest.approx(part.sum())


def test_a_hot_voxel_darkens_nothing_that_the_network_sees():
    image, known = blobs((32, 32)), Known(np.eye(2, 3))
    hot = image.copy()
    hot[3, 4] = 100 * image.max()
    predict(known, image, hot)
    moving, fixed = (seen[0, 0].numpy() for seen in known.seen)
    assert fixed[3, 4] == 1
    fixed[3, 4] = moving[3, 4]
    assert np.abs(fixed - moving).max() < 0.02


def test_what_holds_no_data_is_black_to_the_network():
    image, known = blobs((32, 32)), Known(np.eye(2, 3))
    holed = image.copy()
    holed[10:14, 8:20] = np.nan
    prediction = predict(known, holed, image)
    moving = known.seen[0][0, 0].numpy()
    assert (moving[10:14, 8:20] == 0).all() and np.isfinite(moving).all()
    assert np.isnan(prediction.warped.values).sum() == 48
    assert "hold no data" in str(prediction)


def test_a_sheared_grid_is_covered_by_cubic_voxels():
    affine = np.array([[1.2, 0.4, 3.0], [0.0, 0.9, -5.0], [0, 0, 1]])
    fixed = Grid((40, 30), affine)
    grid = network_grid(fixed, (24, 28))
    metric = grid.affine[:2, :2].T @ grid.affine[:2, :2]
    assert np.allclose(metric, metric[0, 0] * np.eye(2))
    corners = fixed.voxel_to_world(np.array([[-0.5, -0.5, 39.5, 39.5], [-0.5, 29.5, -0.5, 29.5]]))
    voxels = grid.world_to_voxel(corners)
    assert (voxels > -0.5 - 1e-9).all() and (voxels.T < np.array(grid.shape) - 0.5 + 1e-9).all()


def test_how_a_volume_is_stored_does_not_matter():
    """Axes in another order and direction with the header that says so: the same map in the world."""
    shape, network = (18, 22, 16), shaken(dimension=3, shape=(16, 16, 16), scales=(1,))
    moving, fixed = (varreg.Image.from_array(blobs(shape, s), spacing=1.1) for s in (0, 1))
    turned = np.ascontiguousarray(fixed.data.transpose(2, 0, 1)[:, ::-1])
    swap = np.array([[0, -1.1, 0, 1.1 * 17], [0, 0, 1.1, 0], [1.1, 0, 0, 0], [0, 0, 0, 1]])
    again = varreg.Image.from_array(turned, affine=swap)
    points = np.random.default_rng(0).uniform(4, 12, (20, 3))
    one, other = (predict(network, moving, f, (16, 16, 16)).points(points) for f in (fixed, again))
    assert np.abs(one - points).max() > 0.05
    assert np.abs(one - other).max() < 1e-3


def test_downsampling_averages_and_upsampling_interpolates():
    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    grid = Grid.with_spacing((64, 64))
    coarse = resampled(LevelImage(noise, None, grid), grid.resized((16, 16)), np.eye(3))
    assert coarse.std() < 0.3 * noise.std()
    ramp = np.indices((8, 8))[0].astype(np.float32)
    fine = resampled(
        LevelImage(ramp, None, Grid.with_spacing((8, 8))),
        Grid.with_spacing((8, 8)).resized((16, 16)),
        np.eye(3),
    )
    assert np.allclose(np.diff(fine[1:-1, 0]), 0.5)


@pytest.mark.parametrize("spacing", [0.8, 2.1])
def test_images_are_resampled_as_for_training(tmp_path, spacing):
    grid = Grid((14, 18, 11), np.diag([-1.2, 0.9, 2.0, 1.0]))
    image = image_on(grid, waves)
    nibabel.save(image.to_nifti(), tmp_path / "t1.nii")
    trained = load_volume(Subject("a", (("T1", tmp_path / "t1.nii"),)), spacing).images[0]
    seen = LevelImage(unit_intensities(image.data, None), None, grid)
    target = isotropic_grid(grid, spacing)
    assert np.abs(resampled(seen, target, np.eye(4)) - trained).max() < 1e-6
    assert network_grid(grid, target.shape, spacing).same_space(target)


def test_slices_of_volumes_meet_in_one_plane():
    """Parallel oblique slices, one stored turned by a quarter, share the frame of the fixed one."""
    volume = oblique((40, 36, 3), (1.0, 1.1, 4.0), 25.0).affine
    data = blobs((40, 36))
    turned = volume @ np.array([[0, 1, 0, 0], [-1, 0, 0, 35], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    fixed = nibabel.Nifti1Image(data[..., None], volume)
    moving = nibabel.Nifti1Image(np.ascontiguousarray(data[:, ::-1].T)[..., None], turned)
    prediction = predict(Known(np.eye(2, 3)), moving, fixed)
    assert np.abs(prediction.warped.data - data)[1:-1, 1:-1].max() < 1e-4
    assert np.array_equal(prediction.transform.frame, prediction.fixed.frame)
    assert np.array_equal(prediction.warp(moving), prediction.warped.data)
    assert np.allclose(prediction.warped.to_nifti().affine, volume, atol=1e-5)


@pytest.mark.parametrize("start", ["centres", "moments", "matrix"])
def test_start_is_where_the_network_looks(start):
    """Images that do not meet are refused, and meet through a start, which is part of the map."""
    fixed = varreg.Image.from_array(blobs((40, 36)), spacing=1.0)
    away = np.eye(3)
    away[:2, 2] = 300, -200
    moving = varreg.Image.from_array(fixed.data, affine=away)
    known = Known(some_affine(2))
    with pytest.raises(OverlapError, match=r"^learned\.predict: .*start='centres'"):
        predict(known, moving, fixed)
    here = predict(known, fixed, fixed)
    seen = known.seen
    prediction = predict(known, moving, fixed, start=away if start == "matrix" else start)
    assert all(np.allclose(*two, atol=1e-5) for two in zip(seen, known.seen, strict=True))
    assert np.allclose(prediction.affine, away @ here.affine, atol=1e-6)
    assert np.allclose(prediction.warped.data, here.warped.data, atol=1e-4)


def test_every_kind_of_image_is_taken(tmp_path):
    moving, fixed = blobs((30, 34)), blobs((30, 34), 1)
    nifti = nibabel.Nifti1Image(moving[..., None], np.eye(4))
    nibabel.save(nifti, tmp_path / "moving.nii.gz")
    network = shaken()
    wanted = predict(network, moving, fixed)
    image = varreg.Image.from_array(fixed)
    for kind in (nifti, tmp_path / "moving.nii.gz", str(tmp_path / "moving.nii.gz")):
        assert np.array_equal(predict(network, kind, image).warped.data, wanted.warped.data)
    named = predict(network, tmp_path / "moving.nii.gz", fixed)
    assert named.moving_name == "moving.nii.gz" and "moving.nii.gz" in named.warped.name


# --- batches ----------------------------------------------------------------------------------------


def test_a_batch_is_each_pair_alone_up_to_rounding():
    network = Registrar(shaken(), (32, 32))
    shapes = [(32, 32), (21, 40), (50, 33), (32, 30), (17, 19)]
    pairs = [(blobs(s, k), blobs(s, k + 9)) for k, s in enumerate(shapes)]
    pairs[3] = {"moving": pairs[3][0], "fixed": pairs[3][1], "start": "centres"}
    found = network.predict_batch((pair for pair in pairs), batch_size=3, threads=1)
    assert len(found) == len(pairs)
    for pair, one in zip(pairs, found, strict=True):
        arguments = pair if isinstance(pair, dict) else dict(moving=pair[0], fixed=pair[1])
        alone = network.predict(**arguments, threads=1)
        assert np.abs(alone.displacement).max() > 0.3
        assert np.abs(one.displacement - alone.displacement).max() < 1e-4
        assert one.warped.data.shape == alone.warped.data.shape
    assert learned.predict_batch([], model=network) == []


def test_the_same_bits_again_and_batch_statistics_are_never_taken():
    cascade = shaken()
    network = Registrar(cascade, (32, 32))
    moving, fixed = blobs((40, 40)), blobs((40, 40), 1)
    torch.manual_seed(0)
    one = network.predict(moving, fixed, threads=1)
    cascade.train()
    torch.manual_seed(1)
    before = {name: value.clone() for name, value in cascade.state_dict().items()}
    other = network.predict(moving, fixed, threads=1)
    assert np.array_equal(one.displacement, other.displacement)
    after = cascade.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_number_of_threads_is_put_back():
    count = torch.get_num_threads()
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    assert network.predict(moving, fixed, threads=count + 1).provenance["threads"] == count + 1
    with pytest.raises(InputError):
        network.predict(moving, np.zeros((32, 32)), threads=count + 1)
    assert torch.get_num_threads() == count


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moving, options, error, words",
    [
        (blobs((16, 16, 16)), {}, InputError, "both must be 2D or both 3D"),
        (np.full((32, 32), np.nan), {}, InputError, "moving"),
        (np.full((32, 32), 2.0), {}, InputError, "constant"),
        ("absent.nii.gz", {}, FileError, "absent.nii.gz"),
        ([["a"]], {}, InputError, "moving"),
        (blobs((32, 32)), {"start": "middle"}, InputError, "'centres'"),
        (blobs((32, 32)), {"start": np.eye(4)}, GeometryError, "3 x 3"),
        (blobs((32, 32)), {"spacing": 0.0}, InputError, "spacing"),
        (blobs((32, 32)), {"spacing": float("nan")}, InputError, "spacing"),
        (blobs((32, 32)), {"spacing": 30.0}, InputError, "4 voxels"),
        (blobs((32, 32)), {"spacing": "1"}, InputError, "spacing"),
        (blobs((32, 32)), {"threads": 0}, InputError, "threads"),
    ],
)
def test_bad_input_is_refused_as_by_the_solver(moving, options, error, words):
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    with pytest.raises(error, match=words) as caught:
        network.predict(moving, blobs((32, 32), 1), **options)
    assert str(caught.value).startswith("learned.predict: ")


def test_volumes_are_refused_by_a_network_for_slices_and_the_reverse():
    volume, flat = blobs((16, 16, 16)), blobs((16, 16))
    with pytest.raises(InputError, match=r"is for 2D images.*16 x 16 x 16.*one slice of each"):
        predict(Known(np.eye(2, 3)), volume, volume)
    with pytest.raises(InputError, match=r"is for 3D images.*give volumes"):
        predict(Known(np.eye(3, 4)), flat, flat, (16, 16, 16))


@pytest.mark.parametrize("affine", [np.full((2, 3), np.nan), np.zeros((2, 3))])
def test_a_map_that_makes_no_sense_never_comes_back(affine):
    with pytest.raises(DivergenceError, match=r"^learned\.predict: the network 'known'"):
        predict(Known(affine), blobs((32, 32)), blobs((32, 32), 1))
    with pytest.raises(DivergenceError):
        predict(Known(np.eye(2, 3), lambda x: x + np.nan), blobs((32, 32)), blobs((32, 32), 1))


def test_an_error_in_a_batch_says_which_pair():
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    good = (blobs((32, 32)), blobs((32, 32), 1))
    with pytest.raises(InputError, match=r"^pairs\[1\] \(moving.*learned\.predict_batch: `moving`"):
        network.predict_batch([good, (np.full((32, 32), np.inf), good[1])])
    with pytest.raises(InputError, match=r"`pairs\[0\]` must be \(moving, fixed\)"):
        network.predict_batch(good)
    masked = {"moving": good[0], "fixed": good[1], "fixed_mask": good[0]}
    with pytest.raises(InputError, match="does not look at 'fixed_mask'"):
        network.predict_batch([masked])
    with pytest.raises(InputError, match="batch_size"):
        network.predict_batch([good], batch_size=0)
    with pytest.raises(InputError, match="iterable"):
        network.predict_batch(3)


# --- files ------------------------------------------------------------------------------------------


def card(settings=SMALL, **changes):
    architecture = dataclasses.asdict(settings) | changes
    return {"architecture": architecture, "training": {}, "licences": ["CC0-1.0"]}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a file with a small network."""
    path = tmp_path_factory.mktemp("network") / "small-2d.safetensors"
    save_model(path, shaken(), card())
    return path.read_bytes()


@pytest.fixture
def shipped(tmp_path, monkeypatch, content):
    """A folder of weights with one small network."""
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    (tmp_path / "small-2d.safetensors").write_bytes(content)
    return tmp_path


def test_a_network_is_found_by_name_and_by_path(shipped):
    moving, fixed = blobs((40, 30)), blobs((40, 30), 1)
    wanted = predict(shaken(), moving, fixed)
    assert weights.names() == ("small-2d",)
    named = learned.load("small-2d")
    assert (named.name, named.shape, named.card) == ("small-2d", (32, 32), json_plain(card()))
    for model in (named, "small-2d", shipped / "small-2d.safetensors"):
        found = learned.predict(moving, fixed, model=model, threads=1)
        assert found.model == "small-2d"
        # normalisations are folded into convolutions on the way: other rounding
        np.testing.assert_allclose(found.displacement, wanted.displacement, atol=1e-4)
    (found,) = learned.predict_batch([(moving, fixed)], model="small-2d", threads=1)
    np.testing.assert_allclose(found.displacement, wanted.displacement, atol=1e-4)


def json_plain(value):
    return json.loads(json.dumps(value))


def test_a_network_is_read_once_until_its_file_changes(shipped):
    first = registrar("small-2d")
    assert registrar("small-2d") is first
    path = shipped / "small-2d.safetensors"
    save_model(path, shaken(size=0.5, scales=(1,)), card(scales=(1,)), overwrite=True)
    again = registrar("small-2d")
    assert again is not first and len(again.network.dt_nets) == 1


def test_an_unknown_name_is_answered_by_the_known_ones(shipped):
    with pytest.raises(InputError, match=r"'smal-2d'\. Did you mean 'small-2d'\? .*'small-2d'"):
        learned.predict(blobs((32, 32)), blobs((32, 32), 1), model="smal-2d")
    with pytest.raises(InputError, match="name or a path; got int"):
        learned.load(3)
    with pytest.raises(FileError, match="elsewhere"):
        learned.predict(blobs((32, 32)), blobs((32, 32)), model=shipped / "elsewhere.safetensors")


def test_damaged_and_foreign_files_are_refused_by_name(shipped):
    whole = (shipped / "small-2d.safetensors").read_bytes()
    path = shipped / "bad.safetensors"
    for content in (whole[:-9], whole[:40], b"", b"PK\x03\x04" + whole, whole[:-1] + b"\xff"):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"bad\.safetensors"):
            learned.load("bad")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"scales": (4, 2, 1)}, "'dt_nets.2"),  # one stage too few
        ({"scales": (1,)}, "one too many"),
        ({"dt_width": 3}, "shape"),
        ({"pooling": "global"}, "shape"),
        ({"dimension": 3, "shape": (32, 32, 32)}, "shape|weights"),
        ({"at_width": 1024, "shape": (4096, 4096)}, "needs 4898948224 weights"),
        ({"dt_width": 0}, "dt_width"),
        ({"shape": (4, 4)}, "shape"),
        ({"depth": 5}, "depth"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_name(shipped, changes, words):
    save_model(shipped / "bad.safetensors", shaken(), card(**changes))
    with pytest.raises(FileError, match=rf"bad\.safetensors.*({words})"):
        learned.load("bad")


def test_a_card_must_say_everything(shipped):
    architecture = dataclasses.asdict(SMALL)
    del architecture["pooling"]
    save_model(shipped / "bad.safetensors", shaken(), card() | {"architecture": architecture})
    with pytest.raises(FileError, match="pooling"):
        learned.load("bad")
    save_model(shipped / "bad.safetensors", shaken(), card() | {"architecture": 3}, overwrite=True)
    with pytest.raises(FileError, match="describes 3"):
        learned.load("bad")


# --- what comes back --------------------------------------------------------------------------------


def test_a_saved_prediction_is_a_result(tmp_path):
    moving, fixed = pair_on(2)
    prediction = predict(shaken(), moving, fixed)
    prediction.save(tmp_path / "out")
    loaded = varreg.load(tmp_path / "out")
    assert np.array_equal(loaded.transform.nodes, prediction.transform.nodes)
    assert np.array_equal(loaded.affine, prediction.affine)
    assert np.array_equal(loaded.warp(moving), prediction.warped.data)
    assert loaded.smallest_determinant == prediction.smallest_determinant
    assert loaded.provenance["backend"] == "network 'known'" and np.isnan(loaded.energy.total)
    with pytest.raises(FileError, match="exists"):
        prediction.save(tmp_path / "out")
    labels = (moving.data > 1).astype(np.uint8)
    assert np.array_equal(loaded.warp_labels(labels), prediction.warp_labels(labels))


def test_it_explains_itself():
    moving, fixed = pair_on(2)
    words = str(predict(shaken(), moving, fixed))
    assert "Affine (predicted): rotation" in words and "Deformable: u has mean" in words
    assert "no energy was minimised" in words and "network 'known', 1 thread" in words
    assert words.splitlines()[-1] == "Maps points of FIXED to MOVING (world mm, RAS+)."


def test_it_adds_up_its_seconds():
    prediction = predict(Known(np.eye(2, 3)), blobs((32, 32)), blobs((32, 32), 1))
    parts = prediction.provenance["seconds"]
    assert set(parts) == {"preparation", "network", "conversion"}
    assert prediction.seconds == pytest.approx(sum(parts.values())) and prediction.seconds > 0


# --- the command and the package --------------------------------------------------------------------


@pytest.fixture
def files(shipped):
    for name, seed in (("moving", 0), ("fixed", 1)):
        image = nibabel.Nifti1Image(blobs((40, 36), seed)[..., None], np.eye(4))
        nibabel.save(image, shipped / f"{name}.nii.gz")
    return shipped


def call(folder, *arguments):
    words = [folder / "moving.nii.gz", folder / "fixed.nii.gz", "--threads", 1, *arguments]
    return CliRunner().invoke(command, [str(word) for word in words])


def test_command_writes_what_predict_returns(files):
    wanted = learned.predict(
        files / "moving.nii.gz", files / "fixed.nii.gz", model="small-2d", threads=1
    )
    ended = call(files, "-o", files / "out", "--model", "small-2d")
    assert ended.exit_code == 0, ended.output
    assert "Affine (predicted)" in ended.stdout
    assert np.array_equal(varreg.load(files / "out").warped.data, wanted.warped.data)
    ended = call(
        files, "-o", files / "w.nii.gz", "--model", files / "small-2d.safetensors", "--json"
    )
    assert json.loads(ended.stdout)["model"] == "small-2d"
    stored = np.squeeze(nibabel.load(files / "w.nii.gz").get_fdata(dtype=np.float32))
    assert np.array_equal(stored, wanted.warped.data)


def test_command_refuses_to_overwrite_unless_asked(files):
    options = ["-o", files / "out", "--model", "small-2d", "-q"]
    assert call(files, *options).exit_code == 0
    before = (files / "out" / "result.json").read_bytes()
    refused = call(files, *options, "--start", "centres")
    assert refused.exit_code == 1 and "exists" in refused.stderr
    assert (files / "out" / "result.json").read_bytes() == before
    forced = call(files, *options, "--spacing", "1.5", "--force")
    assert forced.exit_code == 0 and forced.output == ""
    assert (files / "out" / "result.json").read_bytes() != before


def test_command_says_what_is_wrong_in_one_line_and_leaves_nothing(files):
    for options, words in (
        (["--model", "smal-2d"], "Did you mean"),
        (["--spacing", -1], "spacing"),
    ):
        ended = call(files, "-o", files / "none", "--model", "small-2d", *options)
        assert ended.exit_code == 1 and words in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1 and "Traceback" not in ended.output
    assert sorted(p.name for p in files.iterdir()) == [
        "fixed.nii.gz", "moving.nii.gz", "small-2d.safetensors"
    ]  # fmt: skip


def test_the_module_that_is_also_the_command_can_be_called():
    module = sys.modules["learned.predict"]
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    for function in (module, module.predict, learned.predict):
        assert function(moving, fixed, model=network).model == "unnamed"
    assert set(dir(learned)) == set(learned.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        learned.nothing  # noqa: B018


def test_without_torch_the_import_names_the_remedy():
    code = "import sys; sys.modules['torch'] = None; import learned"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert "BackendError: learned: torch cannot be found" in last
    assert 'pip install "varreg[learned]"' in last


# --- the benchmark ----------------------------------------------------------------------------------


def test_benchmark_methods_have_the_harness_signature(monkeypatch):
    folder = ROOT / "examples" / "benchmarks"
    if not folder.is_dir():
        pytest.skip("examples are not part of this copy")
    names = {file.stem for file in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    monkeypatch.syspath_prepend(str(folder))
    try:
        import learned_methods

        methods = learned_methods.learned_methods(Registrar(shaken(), (32, 32)))
        moving, fixed = blobs((40, 36)), blobs((40, 36), 1)
        for name, method in methods.items():
            assert method.name == name and not method.missing
            assert method.run(fixed, moving, 1).shape == (2, 40, 36)
        assert set(methods) == {"learned", "learned+varreg"}
        times = learned_methods.learned_times(1, shape=(32, 32), repeats=1)
        assert set(times) == {"network", "predict"} and min(times.values()) > 0
        assert "not installed" in learned_methods.voxelmorph_times("no-such-python", 1)[1]
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
