"""AT-Net, DT-Net and their cascade: sizes, the identity they begin with, and how stages compose."""

import pytest
import torch

from learned.affine import affine_displacement, compose_affine
from learned.affine_passes import affine_maps
from learned.at_net import ATNet
from learned.blocks import Dropout, SameConvolution, pad_to
from learned.cascade import Cascade
from learned.cascade_arguments import GROUPS
from learned.dt_net import DTNet
from learned.resampling import resize_field, resize_image, stage_shape
from learned.spatial import compose, view_weight, warp
from varreg.errors import InputError

ODD = [(2, (33, 46)), (2, (7, 70)), (3, (9, 14, 11))]
every_size = pytest.mark.parametrize("dimension, shape", ODD)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(shape, batch=2, seed=0):
    return torch.rand(2, batch, 1, *shape, generator=seeded(seed))


def parameters(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def small(dimension=2, shape=(33, 46), **options):
    settings = dict(at_width=2, dt_width=2, pooling="global") | options
    return Cascade.build(dimension, shape, **settings)


def shaken(cascade, size=0.05):
    """With heads that do something, as after some training."""
    for name, parameter in cascade.named_parameters():
        if "head" in name or "flow" in name:
            noise = torch.randn(parameter.shape, generator=seeded(len(name)))
            parameter.data += size * noise
    return cascade


# --- sizes --------------------------------------------------------------------------------------


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


# --- identity -----------------------------------------------------------------------------------


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


# --- stages -------------------------------------------------------------------------------------


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
    cascade = shaken(Cascade(None, [DTNet(width=2)], (1,))).eval()
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


# --- freezing and randomness --------------------------------------------------------------------


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


# --- refusals -----------------------------------------------------------------------------------


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
        (lambda: small(scales=(1, 2)), "`scales`"),
        (lambda: small(scales=(0.5,)), "`scales`"),
        (lambda: small(scales=2), "`scales`"),
        (lambda: Cascade(None, [DTNet(width=2)], (2, 1)), "must hold 2 networks"),
        (lambda: Cascade(None, [DTNet(width=2), DTNet(3, 2)], (2, 1)), "one dimension"),
        (lambda: Cascade(None, [], ()), "at least one network"),
    ],
)
def test_unusable_settings_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_images_that_are_not_finite_are_refused(value):
    moving, fixed = images((20, 30))
    fixed[1, 0, 3, 4] = value
    with pytest.raises(InputError, match="`fixed` holds values that are not finite"):
        small()(moving, fixed)


@pytest.mark.parametrize("other", [(2, 1, 20, 31), (1, 1, 20, 30), (2, 2, 20, 30), (2, 20, 30)])
def test_images_must_be_on_one_grid(other):
    with pytest.raises(InputError, match="Bring them to one grid"):
        small()(torch.zeros(2, 1, 20, 30), torch.zeros(other))
    with pytest.raises(InputError, match="one grid"):
        small()(torch.zeros(other), torch.zeros(2, 1, 20, 30))


# --- several passes, a coarser view -------------------------------------------------------------


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
