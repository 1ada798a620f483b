"""Networks that descend: what they are told of the energy, and their passes in a cascade."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

import varreg
from learned.affine import affine_displacement, compose_affine
from learned.blocks import SameConvolution
from learned.cascade import Cascade
from learned.config import LossConfig, ModelConfig
from learned.descent_net import DescentNet, space_to_depth
from learned.energy_channels import BINS, energy_channels, joint_density
from learned.inference import Registrar
from learned.passes import run_passes
from learned.spatial import resize_field, warp
from learned.stages import DescentLoss, Known
from varreg.errors import InputError


def smooth(shape, seed, width=3.0):
    """A smooth random image in [0, 1], (1, 1, *S)."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return torch.from_numpy((values - values.min()) / np.ptp(values)).float()[None, None]


def contrasts(shape, seed=0):
    """Two images of one structure with nothing but their edges in common."""
    image = smooth(shape, seed)
    return image, (1 - (2 * image - 1).abs()).clamp(0, 1)


def information(warped, fixed):
    """Mutual information of the smoothed density, nats."""
    p = joint_density(warped, fixed)[0].double()
    q = p.sum(0, keepdim=True) * p.sum(1, keepdim=True)
    return float((p * torch.log(p / q))[p > 0].sum())


@pytest.mark.parametrize("shape", [(96, 96), (28, 28, 28)])
def test_force_is_the_derivative_of_mutual_information(shape):
    moving, fixed = contrasts(shape)
    rng = np.random.default_rng(1)
    d = len(shape)

    def field(width):
        parts = [ndimage.gaussian_filter(rng.standard_normal(shape), width) for _ in shape]
        return torch.from_numpy(np.stack(parts)).float()[None]

    away = field(6.0)
    warped = warp(moving, 1.5 * away / away.abs().max())
    force = energy_channels(warped, fixed)[:, :d]
    said, found = [], []
    for _ in range(12):
        step = field(4.0)
        step = 0.4 * step / step.abs().max()
        said.append(float((force * step).sum()))
        found.append(
            information(warp(warped, step), fixed) - information(warp(warped, -step), fixed)
        )
    assert np.corrcoef(said, found)[0, 1] > 0.9


def test_force_does_not_know_the_contrast():
    moving, fixed = contrasts((64, 64))
    moving = warp(moving, torch.full((1, 2, 64, 64), 1.0))
    as_it_is, inverted = energy_channels(moving, fixed), energy_channels(1 - moving, fixed)
    torch.testing.assert_close(as_it_is, inverted, atol=0.35, rtol=0)
    assert float((as_it_is - inverted).abs().mean()) < 0.01  # values on the edge of a bin


def test_density_counts_every_voxel_of_its_own_pair():
    images = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    others = images.roll(1, 0)
    together = joint_density(images, others)
    assert torch.allclose(together.sum((1, 2)), torch.ones(3))
    alone = torch.cat([joint_density(images[k : k + 1], others[k : k + 1]) for k in range(3)])
    assert torch.equal(together, alone)
    constant = joint_density(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    assert int(constant.argmax()) == (BINS - 1) * BINS


def test_images_of_one_value_give_no_force():
    flat = torch.full((1, 1, 16, 16), 0.5)
    assert torch.isfinite(energy_channels(flat, flat)).all()
    assert energy_channels(flat, flat)[:, :2].abs().max() == 0


def test_channels_of_a_patch_are_those_of_torch():
    values = torch.rand(2, 3, 8, 6)
    assert torch.equal(space_to_depth(values, 2), nn.functional.pixel_unshuffle(values, 2))
    volume = torch.arange(64.0).reshape(1, 1, 4, 4, 4)
    corners = space_to_depth(volume, 2)[0, :, 0, 0, 0]
    assert corners.tolist() == [0, 1, 4, 5, 16, 17, 20, 21]


@pytest.mark.parametrize("shape", [(34, 40), (18, 20, 14)])
def test_an_untrained_network_moves_nothing_at_any_even_size(shape):
    net = DescentNet(len(shape), width=2)
    update = net(torch.rand(2, 2, *shape))
    assert update.shape == (2, len(shape), *(n // 2 for n in shape))
    assert not update.any()
    with pytest.raises(InputError, match="even"):
        net(torch.rand(2, 2, 17, *shape[1:]))


def test_images_of_odd_sizes_go_through_a_cascade():
    with torch.no_grad():
        answer = moving_cascade_without_affine()(*contrasts((63, 50)))
    assert answer.total.shape == (1, 2, 63, 50)
    assert answer.stages[-1].shape == (1, 2, 31, 25)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("dimension", [2, 3])
def test_small_images_are_convolved_the_same_way_alone(dimension, kernel):
    layer = SameConvolution(dimension, 4, 3, kernel, torch.Generator().manual_seed(0))
    images = torch.rand(2, 4, *[9] * dimension)
    with torch.no_grad():
        alone = torch.cat([layer(image[None]) for image in images])
    torch.testing.assert_close(alone, layer(images), atol=1e-5, rtol=1e-5)


def moving_cascade(**settings):
    """A small cascade that is not trained and moves things all the same."""
    cascade = Cascade.build(
        shape=(64, 64), at_width=1, dt_width=2, scales=(2, 1), shared=True, network="descent",
        iterations=(2, 3), views="alternating", zero_mean=False, **settings,
    ).eval()  # fmt: skip
    flow = cascade.dt_nets[0].flow.convolution
    with torch.no_grad():
        flow.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(3))
    return cascade


def test_the_affine_part_is_fitted_to_the_whole_map():
    cascade = moving_cascade()
    with torch.no_grad():
        answer = cascade(*contrasts((64, 64)))
    assert float(answer.total.abs().max()) > 0.01
    torch.testing.assert_close(
        compose_affine(answer.affine, answer.displacement), answer.total, atol=1e-4, rtol=0
    )
    assert answer.displacement.mean((2, 3)).abs().max() < 1e-4
    # nothing affine is left to be fitted
    rest = answer.total - affine_displacement(answer.affine, (64, 64))
    place = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij"))
    assert (rest[0, :, None] * place).mean((2, 3)).abs().max() < 1e-4
    assert answer.stages[-1].shape == (1, 2, 32, 32)
    inner = (..., slice(2, -2), slice(2, -2))
    last = resize_field(answer.stages[-1], (64, 64))
    torch.testing.assert_close(last[inner], answer.displacement[inner], atol=1e-4, rtol=0)


def test_passes_go_on_where_the_last_one_ended():
    cascade, images = moving_cascade(), contrasts((64, 64))
    affine = torch.eye(2, 3)[None]
    passes = list(run_passes(cascade.stages(), *images, affine))
    assert [each.stage.scale for each in passes] == [2, 2, 1, 1, 1]
    assert torch.equal(passes[1].before, passes[0].after)
    assert not passes[0].before.any()


class Towards(nn.Module):
    """Answers with what is left of a known translation, as long as it is not far."""

    dimension = 2

    def forward(self, pair):
        update = torch.zeros_like(pair)
        near = (pair[:, 0] - pair[:, 1]).abs().mean((1, 2)) < 0.05
        update[near] = 1e-3
        return update


def test_the_better_of_two_starts_goes_on():
    fixed = torch.cat([smooth((64, 64), k) for k in (5, 6)])
    moving = fixed.clone()
    moving[1] = moving[1].roll(5, 2)
    away = torch.eye(2, 3).repeat(2, 1, 1)
    away[:, 1, 2] = 5 / 32  # right for the second pair, wrong for the first

    class Says(nn.Module):
        dimension, pooling = 2, "global"

        def forward(self, pair):
            return away

    settings = {"scales": (4, 1), "shared": True, "zero_mean": False}
    one, two = (
        Cascade(Says(), [Towards()], ModelConfig(starts=starts, **settings))
        .eval()(moving, fixed)
        .affine
        for starts in ("one", "two")
    )
    assert float(one[0, 1, 2]) > 0.1
    assert float(two[0, 1, 2].abs()) < 0.01
    torch.testing.assert_close(two[1], one[1])


def test_no_gradient_flows_from_one_pass_to_the_next():
    cascade, images = moving_cascade(), contrasts((64, 64))
    *_, last = run_passes(cascade.stages(), *images, torch.eye(2, 3)[None], through=False)
    assert not last.before.requires_grad
    assert last.after.requires_grad


def test_loss_of_a_network_that_moves_nothing():
    cascade = Cascade.build(
        shape=(32, 32), at_width=1, dt_width=2, scales=(2, 1), shared=True, network="descent",
        zero_mean=False,
    )  # fmt: skip
    images = contrasts((32, 32))
    truth = torch.full((1, 2, 32, 32), 3.0)
    known = Known(truth, torch.ones(1, 1, 32, 32))
    losses = DescentLoss(cascade, LossConfig(0, 0, 0, 0, known_map=2.0))(*images, known)
    distance = 1.03 * ((18.0 + 0.01) ** 0.5 - 0.1)
    assert float(losses.known_map) == pytest.approx(distance, rel=1e-5)
    assert float(losses.total.detach()) == pytest.approx(2 * distance / (distance + 0.5), rel=1e-5)


def test_without_a_known_map_the_energy_is_the_loss():
    cascade, (moving, fixed) = moving_cascade(), contrasts((64, 64))
    config = LossConfig(smoothness=2.0, mutual_information=3.0, background=0.0, known_map=1.0)
    losses = DescentLoss(cascade, config)(moving, fixed)
    said = losses.total.detach()
    torch.testing.assert_close(said, (2 * losses.smoothness - 3 * losses.similarity).detach())
    assert losses.smoothness > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"iterations": (1, 2)}, "iterations"),
        ({"iterations": (0, 1, 1)}, "iterations"),
        ({"views": "both"}, "views"),
        ({"starts": "three"}, "starts"),
        ({"network": "resnet"}, "network"),
    ],
)
def test_impossible_cascades_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Cascade.build(shape=(32, 32), at_width=1, dt_width=1, **settings)


def sized_registrar(**settings):
    """A network of any size with a card that says in which voxels it was trained."""
    network = moving_cascade_without_affine(**settings)
    card = {"training": {"config": {"data": {"spacing": 2.0}}}}
    return Registrar(network, (32, 32), "any", card)


def moving_cascade_without_affine(**settings):
    settings = {"at_width": 0, "dt_width": 2, "scales": (2, 1), "shared": True} | settings
    return Cascade.build(shape=(32, 32), network="descent", zero_mean=False, **settings)


def test_a_network_of_any_size_sees_all_in_the_voxels_of_its_training():
    image = varreg.Image.from_array(np.random.default_rng(0).random((120, 90)), spacing=1.0)
    pair = sized_registrar()._prepared("test", moving=image, fixed=image)
    assert pair.grid.shape == (60, 48)  # whole numbers of what the network halves
    assert pair.grid.spacing.tolist() == [2.0, 2.0]
    np.testing.assert_allclose(pair.grid.centre, image.grid.centre, atol=0.5)  # whole voxels
    huge = varreg.Image.from_array(np.random.default_rng(0).random((40, 30)), spacing=100.0)
    assert max(sized_registrar()._prepared("test", moving=huge, fixed=huge).grid.shape) == 4 * 32


def test_pairs_of_several_sizes_in_one_batch():
    rng = np.random.default_rng(1)
    pairs = [[rng.random(shape) for _ in range(2)] for shape in ((60, 50), (70, 40), (60, 50))]
    registrar = sized_registrar()
    together = registrar.predict_batch(pairs, threads=1)
    alone = [registrar.predict(*pair, threads=1) for pair in pairs]
    for one, other in zip(together, alone, strict=True):
        assert one.displacement.shape == other.displacement.shape
        np.testing.assert_allclose(one.displacement, other.displacement, atol=1e-5)
