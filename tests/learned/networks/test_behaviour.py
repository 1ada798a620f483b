"""Freezing, randomness, precision, several passes; what is refused."""

import pytest
import torch

from learned.affine import affine_displacement
from learned.at_net import ATNet, affine_maps
from learned.blocks import Dropout
from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.dt_net import DTNet
from learned.spatial import resize_image, warp
from varreg.errors import InputError

from .small import images, seeded, shaken, small


def test_a_frozen_at_net_is_really_frozen():
    moving, fixed = images((33, 46))
    cascade = shaken(small())
    cascade.freeze_affine()
    before = {name: value.clone() for name, value in cascade.at_net.state_dict().items()}
    others = cascade.dt_nets[0].down[0][0][1].running_mean.clone()
    cascade.train()
    assert cascade.training and cascade.dt_nets[0].training
    assert not any(module.training for module in cascade.at_net.modules())
    optimiser = torch.optim.AdamW(cascade.parameters(), lr=0.1, weight_decay=0.1)
    answers = []
    for _ in range(2):
        found = cascade(moving, fixed)
        answers.append(found.affine)
        found.warped.mean().backward()
        optimiser.step()
    assert torch.equal(*answers) and not answers[0].requires_grad
    for name, value in cascade.at_net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not torch.equal(cascade.dt_nets[0].down[0][0][1].running_mean, others)


def test_unfrozen_it_moves():
    cascade = shaken(small()).train()
    before = cascade.at_net.blocks[0][0][1].running_mean.clone()
    cascade(*images((33, 46)))
    assert not torch.equal(cascade.at_net.blocks[0][0][1].running_mean, before)


def test_everything_random_comes_from_the_generator_handed_in():
    state = torch.get_rng_state()

    def run(seed):
        generator = seeded(seed)
        cascade = shaken(small(generator=generator)).train()
        saved = generator.get_state()
        once = cascade(*images((33, 46))).total
        other = cascade(*images((33, 46))).total
        generator.set_state(saved)
        return once, other, cascade(*images((33, 46))).total

    once, other, again = run(1)
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert torch.equal(once, run(1)[0]) and not torch.equal(once, run(2)[0])
    assert torch.equal(torch.get_rng_state(), state)
    seeds = [small(seed=s).state_dict() for s in (3, 3, 4)]
    same = [all(torch.equal(seeds[0][k], other[k]) for k in other) for other in seeds[1:]]
    assert same == [True, False]


def test_weights_are_he_normal():
    for name, parameter in DTNet(width=16).named_parameters():
        if name.endswith("convolution.weight") and "flow" not in name:
            deviation = (2 / parameter[0].numel()) ** 0.5
            assert parameter.std().item() == pytest.approx(deviation, rel=0.1)
            assert abs(parameter.mean().item()) < 0.15 * deviation
        elif name.endswith("bias"):
            assert not parameter.any()


def test_dropout_keeps_the_mean_and_clears_its_share():
    layer = Dropout(0.3, seeded())
    values = torch.ones(1, 1, 300, 300)
    found = layer(values)
    assert (found == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    assert layer.eval()(values) is values
    counts = [sum(isinstance(m, Dropout) for m in net.modules()) for net in (ATNet(), DTNet())]
    assert counts == [2, 2]


def test_the_state_is_all_there_is():
    moving, fixed = images((33, 46))
    one, other = shaken(small(seed=1)).eval(), small(seed=2).eval()
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(moving, fixed).total, other(moving, fixed).total)


def test_double_precision_throughout():
    found = shaken(small()).double().eval()(*images((33, 46)).double())
    single = shaken(small()).eval()(*images((33, 46)))
    assert found.total.dtype == torch.float64
    torch.testing.assert_close(single.total.double(), found.total, atol=1e-3, rtol=1e-3)


def test_autocast_leaves_the_map_in_single_precision():
    cascade, pair = shaken(small()).eval(), images((33, 46))
    beside = torch.cat(tuple(pair), 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = cascade(*pair)
        heads = cascade.at_net(beside), cascade.dt_nets[0](beside)
    exact = [found.affine, found.displacement, found.total, found.warped, *heads]
    assert {each.dtype for each in exact} == {torch.float32}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ATNet(width=2, shape=(64, 64))(torch.zeros(1, 2, 64, 65)), "pooling='global'"),
        (lambda: ATNet(width=2, shape=(64,)), "`shape` must be 2"),
        (lambda: ATNet(pooling="mean"), "'flatten', 'global'; got 'mean'"),
        (lambda: ATNet(4), "`dimension` must be 2 or 3"),
        (lambda: DTNet(width=0), "`width`"),
        (lambda: DTNet(width=2, dropout=1.0), r"in \[0, 1\)"),
        (lambda: DTNet(width=2)(torch.zeros(1, 1, 32, 32)), "moving and fixed"),
        (lambda: small(scales=(1, 2)), "`model.scales`"),
        (lambda: small(scales=(0.5,)), "`model.scales`"),
        (lambda: small(scales=2), "`model.scales`"),
        (lambda: small(affine_scale=0.5), "`model.affine_scale`"),
        (lambda: small(affine_passes=0), "`model.affine_passes`"),
        (lambda: Cascade(None, [DTNet(width=2)], ModelConfig(scales=(2, 1))), "must contain 2"),
        (
            lambda: Cascade(None, [DTNet(width=2), DTNet(3, 2)], ModelConfig(scales=(2, 1))),
            "the same dimension",
        ),
        (lambda: Cascade(None, [], ModelConfig(scales=())), "at least one network"),
    ],
)
def test_unusable_settings_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_images_that_are_not_finite_are_refused(value):
    moving, fixed = images((20, 30))
    fixed[1, 0, 3, 4] = value
    with pytest.raises(InputError, match="`fixed` contains values that are not finite"):
        small()(moving, fixed)


@pytest.mark.parametrize("other", [(2, 1, 20, 31), (1, 1, 20, 30), (2, 2, 20, 30), (2, 20, 30)])
def test_images_must_be_on_one_grid(other):
    with pytest.raises(InputError, match="Resample them to one grid"):
        small()(torch.zeros(2, 1, 20, 30), torch.zeros(other))
    with pytest.raises(InputError, match="one grid"):
        small()(torch.zeros(other), torch.zeros(2, 1, 20, 30))


def homogeneous(affine):
    last = torch.zeros(len(affine), 1, affine.shape[-1])
    last[..., -1] = 1
    return torch.cat((affine, last), 1)


@pytest.mark.parametrize("dimension, shape", [(2, (33, 46)), (3, (9, 14, 11))])
def test_passes_compose_and_each_sees_what_is_left(dimension, shape):
    cascade = shaken(small(dimension, shape, scales=(), affine_passes=3)).eval()
    moving, fixed = images(shape)
    maps = affine_maps(cascade.at_net, moving, fixed, 3)
    wanted = torch.eye(dimension + 1).expand(2, -1, -1)
    for affine in maps:
        seen = warp(moving, affine_displacement(wanted[:, :-1], shape))
        wanted = wanted @ homogeneous(cascade.at_net(torch.cat((seen, fixed), 1)))
        torch.testing.assert_close(affine, wanted[:, :-1])
    assert torch.equal(cascade(moving, fixed).affine, maps[-1])
    assert not torch.allclose(maps[0], maps[2])


def test_a_pass_leaves_no_gradient_to_the_one_before():
    cascade = shaken(small()).eval()
    moving, fixed = images((33, 46))
    moving.requires_grad_()
    first, second = affine_maps(lambda pair: cascade.at_net(pair), moving, fixed, 2)
    (gradient,) = torch.autograd.grad(second.sum(), moving, retain_graph=True)
    seen = warp(moving, affine_displacement(first.detach(), (33, 46)))
    update = cascade.at_net(torch.cat((seen, fixed), 1))
    alone = (homogeneous(first.detach()) @ homogeneous(update))[:, :-1]
    (wanted,) = torch.autograd.grad(alone.sum(), moving)
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("pooling", ["flatten", "global"])
def test_at_net_may_see_the_images_coarser(pooling):
    cascade = shaken(small(shape=(66, 92), affine_scale=2, pooling=pooling)).eval()
    moving, fixed = images((66, 92))
    coarse = [resize_image(image, (33, 46)) for image in (moving, fixed)]
    assert torch.equal(cascade(moving, fixed).affine, cascade.at_net(torch.cat(coarse, 1)))
    alone = cascade.affine_only()(moving, fixed)
    assert torch.equal(alone.affine, cascade(moving, fixed).affine)
    assert alone.stages == ()
