"""Sizes, the identity, and how stages compose."""

import pytest
import torch

from learned.affine import affine_displacement, compose_affine
from learned.at_net import ATNet
from learned.blocks import SameConvolution, pad_to
from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.dt_net import DTNet
from learned.spatial import compose, resize_field, resize_image, stage_shape, view_weight, warp
from varreg.errors import InputError

from .small import images, seeded, shaken, small

#: Scales of the paper's groups 1 to 4 (Table 2).
GROUPS = {1: (1.0,), 2: (2.0, 1.0), 3: (4.0, 2.0, 1.0), 4: (8.0, 4.0, 2.0, 1.0)}
ODD = [(2, (33, 46)), (2, (9, 70)), (3, (9, 14, 11))]
every_size = pytest.mark.parametrize("dimension, shape", ODD)


def parameters(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_numbers_of_parameters_are_those_of_the_paper():
    assert parameters(ATNet()) == 588_006
    assert parameters(DTNet()) == 1_474_658


def test_numbers_of_parameters_of_the_parts_as_documented():
    net = ATNet()
    scales = sum(parameters(m) for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert (parameters(net.blocks) - scales, scales) == (385_728, 1_344)
    assert (parameters(net.hidden), parameters(net.head)) == (200_736, 198)
    net = DTNet()
    assert parameters(net.down) == 657_408
    assert parameters(net.up) + parameters(net.smooth) == 816_672
    assert (parameters(net.smooth), parameters(net.flow)) == (123_744, 578)


def test_global_pooling_and_three_dimensions_count_alike():
    flat, whole = ATNet(width=4), ATNet(width=4, pooling="global")
    assert parameters(flat) - parameters(whole) == 48 * 32 * 32  # 7 x 7 places instead of one
    deep = ATNet(3, width=4, shape=(70, 64, 65))
    assert deep.hidden.in_features == 32 * 3 * 2 * 3
    assert deep.head.out_features == 12


@pytest.mark.parametrize("group, scales", GROUPS.items())
def test_stages_share_weights_or_have_their_own(group, scales):
    one = parameters(DTNet(width=2))
    apart, shared = (small(scales=scales, shared=s) for s in (False, True))
    assert len(scales) == group == len(apart.dt_nets)
    assert parameters(apart) - parameters(apart.at_net) == group * one
    assert parameters(shared) - parameters(shared.at_net) == one
    assert len(apart(*images((33, 46))).stages) == len(shared(*images((33, 46))).stages) == group


def test_stages_of_their_own_begin_differently():
    first, second, _ = (net.down[0][0][0].convolution.weight for net in small().dt_nets)
    assert not torch.equal(first, second)


@every_size
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("scales", [(3, 1.5), (2,), ()])
def test_untrained_it_returns_the_moving_image(dimension, shape, training, scales):
    moving, fixed = images(shape)
    found = small(dimension, shape, scales=scales).train(training)(moving, fixed)
    identity = torch.eye(dimension, dimension + 1).expand(2, -1, -1)
    assert torch.equal(found.affine, identity)
    assert torch.equal(found.warped, moving) and torch.equal(found.warped_affine, moving)
    assert not found.displacement.any() and not found.total.any() and (found.view == 1).all()
    assert [u.shape for u in found.stages] == [
        (2, dimension, *stage_shape(shape, scale)) for scale in scales
    ]


@every_size
def test_a_batch_of_one_tiny_image_can_train(dimension, shape):
    """Where five poolings would leave one value per channel for batch normalisation."""
    tiny = tuple(min(n, 9) for n in shape)
    cascade = shaken(small(dimension, tiny, scales=(2, 1))).train()
    cascade(*images(tiny, batch=1)).warped.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cascade.parameters())


@every_size
def test_the_first_step_moves_the_heads_and_the_second_everything(dimension, shape):
    moving, fixed = images(shape)
    cascade = small(dimension, shape, scales=(2, 1)).train()
    optimiser = torch.optim.SGD(cascade.parameters(), lr=0.1)

    def gradients():
        optimiser.zero_grad()
        (cascade(moving, fixed).warped - fixed).square().mean().backward()
        return {name: p.grad.abs().max().item() for name, p in cascade.named_parameters()}

    first = gradients()
    heads = ["at_net.head.weight"] + [f"dt_nets.{k}.flow.convolution.weight" for k in range(2)]
    assert all(first[name] > 1e-6 for name in heads)
    optimiser.step()
    second = gradients()
    moved = [size > 0 for name, size in second.items() if name.endswith("weight")]
    assert all(moved)


@every_size
def test_stages_compose_by_the_definition(dimension, shape):
    """The whole forward pass, written down once more for two scales."""
    moving, fixed = images(shape)
    cascade = shaken(small(dimension, shape, scales=(2, 1))).eval()
    found = cascade(moving, fixed)
    affine = cascade.at_net(torch.cat((moving, fixed), 1))
    coarse = tuple(max(round(n / 2), 2) for n in shape)
    still = resize_image(moving, coarse), resize_image(fixed, coarse)
    moved = warp(still[0], affine_displacement(affine, coarse, shape))
    first = cascade.dt_nets[0](torch.cat((moved, still[1]), 1))
    before = resize_field(first, shape)
    moved = warp(moving, compose_affine(affine, before))
    update = cascade.dt_nets[1](torch.cat((moved, fixed), 1))
    u = compose(before, update)
    total = compose_affine(affine, u)
    for a, b in [
        (found.affine, affine), (found.stages[0], first), (found.stages[1], u),
        (found.displacement, u), (found.total, total), (found.warped, warp(moving, total)),
        (found.warped_affine, warp(moving, affine_displacement(affine, shape))),
        (found.view, view_weight(total, shape)),
    ]:  # fmt: skip
        torch.testing.assert_close(a, b)
    assert (found.warped - found.warped_affine).abs().max() > 0.01
    assert (found.warped_affine - moving).abs().max() > 0.01


def test_the_displacement_of_a_cascade_that_stops_early_is_of_full_size():
    cascade = shaken(small(scales=(4, 2))).eval()
    found = cascade(*images((33, 46)))
    torch.testing.assert_close(found.displacement, resize_field(found.stages[-1], (33, 46)))
    assert found.displacement.any()


@every_size
@pytest.mark.parametrize("zero_mean", [True, False])
def test_the_affine_map_owns_translation(dimension, shape, zero_mean):
    net = DTNet(dimension, 2, zero_mean=zero_mean).eval()
    net.flow.convolution.weight.data.normal_(generator=seeded())
    net.flow.convolution.bias.data += 3
    u = net(torch.cat(tuple(images(shape)), 1))
    assert u.shape == (2, dimension, *shape) and u.std() > 0.1
    assert (u.flatten(2).mean(2).abs().max() < 1e-4) == zero_mean


def test_pairs_of_a_batch_do_not_meet_in_evaluation():
    moving, fixed = images((33, 46), batch=3)
    cascade = shaken(small()).eval()
    together = cascade(moving, fixed).total
    for k in range(3):
        alone = cascade(moving[k : k + 1], fixed[k : k + 1]).total
        torch.testing.assert_close(alone[0], together[k], atol=1e-4, rtol=1e-4)


def test_without_an_affine_stage_the_map_is_the_displacement():
    cascade = shaken(Cascade(None, [DTNet(width=2)], ModelConfig(scales=(1,)))).eval()
    found = cascade(*images((20, 31)))
    assert torch.equal(found.total, found.displacement) and found.total.any()
    with pytest.raises(InputError, match="no AT-Net to freeze"):
        cascade.freeze_affine()


@pytest.mark.parametrize("shape", [(5, 9), (224, 100), (3, 20, 33)])
def test_padding_continues_the_image_and_is_cut_off_again(shape):
    image = images(shape)[0]
    padded, inner = pad_to(image, 16)
    assert all(n % 16 == 0 and n >= 32 for n in padded.shape[2:])
    assert torch.equal(padded[inner], image)
    axes = tuple(range(2, image.ndim))
    assert torch.equal(padded.amax(axes), image.amax(axes))
    assert torch.equal(padded.amin(axes), image.amin(axes))


@pytest.mark.parametrize("kernel", [2, 3])
def test_convolutions_keep_the_size_and_look_behind(kernel):
    layer = SameConvolution(2, 1, 1, kernel, None)
    layer.convolution.weight.data += 1
    point = torch.zeros(1, 1, 5, 6)
    point[0, 0, 2, 3] = 1
    found = layer(point)[0, 0].nonzero().tolist()
    reach = range(-1, kernel - 1)
    assert found == [[2 + a, 3 + b] for a in reach for b in reach]
