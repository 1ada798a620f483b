"""What each stage learns, and what it minimises."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from learned.affine import affine_displacement
from learned.at_net import affine_maps
from learned.cascade import Cascade
from learned.config import OptimiserConfig, with_changes
from learned.data.parts import make_parts, training_pairs
from learned.losses.mutual_information import MutualInformation
from learned.losses.supervised import EPSILON, known_map_distance
from learned.losses.terms import smoothness
from learned.spatial import view_weight, warp
from learned.stages import AffineLoss, DeformableLoss, Known, objective, prepare_stage
from learned.step import learning_rate
from varreg.errors import InputError
from varreg.options.options import Options

from .runs import images, losses, moved, step, tiny


def parameters(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("name, trained", [("affine", "at_net"), ("deformable", "dt_nets")])
def test_a_stage_changes_its_own_networks_and_no_bit_of_the_others(name, trained):
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(2, 1))
    before = parameters(cascade)
    step(cascade, name, tiny("x"))
    after = parameters(cascade)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.startswith(trained) for key in changed)


def test_frozen_at_net_answers_as_in_evaluation_while_the_rest_trains():
    cascade = Cascade.build(shape=(32, 36), at_width=2, dt_width=1, scales=(1,))
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    moving, fixed = images()
    wanted = cascade.eval()(moving, fixed).affine
    prepare_stage("deformable", cascade, tiny("x"))
    assert torch.equal(cascade(moving, fixed).affine, wanted)
    assert cascade.dt_nets.training


def test_smoothness_is_that_of_the_nodes_in_voxels_of_the_images():
    cascade = moved((2,))
    got = losses(cascade).smoothness
    nodes = cascade(*images()).stages[-1]  # a node every 2 voxels, in its own voxels
    length = 0.05 * math.sqrt(32 * 36)
    torch.testing.assert_close(got, smoothness(nodes, length / 2, 4).mean(), rtol=1e-4, atol=0)


def test_the_affine_loss_does_not_see_place():
    """The solver's affine stage takes the whole image's information, also for regional options."""
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(1,)).eval()
    moving, fixed = images()
    config = with_changes(tiny("x"), ["loss.background=0"])
    got = AffineLoss(cascade, config.loss)(moving, fixed)
    wanted = MutualInformation(Options(similarity="mi"))(moving, fixed).mean()
    torch.testing.assert_close(got.similarity, wanted)
    torch.testing.assert_close(got.total, -50 * wanted)
    assert got.smoothness == got.consistency == 0


def known(size=(32, 36), distance=3.0):
    """Every voxel of a pair lies a distance away, across both axes alike."""
    truth = torch.full((2, 2, *size), distance / math.sqrt(2))
    return Known(truth, torch.ones(2, 1, *size, dtype=torch.bool))


@pytest.mark.parametrize("kind", [AffineLoss, DeformableLoss])
def test_the_known_map_adds_its_weighted_mean_distance(kind):
    """An untrained cascade leaves everything where it is."""
    config = tiny("x")
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(2, 1)).eval()
    plain = kind(cascade, config.loss)(*images(), known())
    weighted = dataclasses.replace(config.loss, known_map=2.0)
    got = kind(cascade, weighted)(*images(), known())
    distance = math.hypot(3.0, EPSILON) - EPSILON
    assert plain.known_map == 0
    assert float(got.known_map.detach()) == pytest.approx(distance, rel=1e-5)
    added = float((got.total - plain.total).detach())
    assert added == pytest.approx(2 * distance, rel=1e-4)


def test_the_known_map_of_a_coarse_affine_stage_is_in_voxels_of_the_images():
    cascade = Cascade.build(shape=(64, 72), at_width=1, dt_width=1, scales=(), affine_scale=2)
    loss = AffineLoss(cascade.eval(), dataclasses.replace(tiny("x").loss, known_map=1.0))
    got = loss(*images(), known(distance=3.0)).known_map.detach()
    assert float(got) == pytest.approx(2 * (math.hypot(3.0, EPSILON) - EPSILON), rel=1e-5)


def test_distance_counts_what_is_visible_and_has_a_gradient_at_the_answer():
    truth, visible = known(size=(4, 5))[:2]
    visible[:, :, :2] = False
    displacement = truth.clone()
    displacement[:, :, :2] = 100
    displacement.requires_grad_()
    distance = known_map_distance(displacement, truth, visible)
    assert distance.tolist() == [0, 0]
    distance.sum().backward()
    assert (displacement.grad == 0).all()
    nothing = torch.zeros_like(visible)
    assert known_map_distance(displacement, truth, nothing).tolist() == [0, 0]
    with pytest.raises(InputError, match="must cover the same voxels"):
        known_map_distance(displacement, truth[..., 1:], visible)


def test_derivative_of_the_distance():
    generator = torch.Generator().manual_seed(0)
    u, truth = torch.randn(2, 2, 2, 4, 5, dtype=torch.float64, generator=generator)
    visible = torch.rand(2, 1, 4, 5, generator=generator) > 0.3
    u.requires_grad_()
    assert torch.autograd.gradcheck(lambda u: known_map_distance(u, truth, visible), u)


@pytest.mark.parametrize("passes", [1, 3])
def test_the_affine_loss_is_the_mean_over_the_passes(passes):
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(), affine_passes=passes)
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    config = tiny("x").loss
    cascade.eval()
    moving, fixed = images()
    terms = []
    for affine in affine_maps(cascade.at_net, moving, fixed, passes):
        u = affine_displacement(affine, (32, 36))
        terms.append(objective(config, Options.preset(config.estimator, similarity="mi"))(
            warp(moving, u), warp(moving, u), fixed, None, view_weight(u, (32, 36))
        ).total)  # fmt: skip
    got = AffineLoss(cascade, config)(moving, fixed).total
    torch.testing.assert_close(got, torch.stack(terms).mean())


def test_pairs_for_a_coarse_at_net_cover_the_same_field_of_view():
    config = with_changes(tiny("x"), ["model.shape=64,72", "data.shift=0.1"])
    fine, coarse = make_parts(config).train, training_pairs(config, 2)
    assert (fine.shape, coarse.shape) == ((64, 72), (32, 36))
    assert fine.subjects == coarse.subjects
    assert (fine.warp, fine.pose) == (coarse.warp, coarse.pose)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rate_rises_over_the_warm_up_and_then_follows_the_schedule(schedule):
    config = OptimiserConfig(learning_rate=1, schedule=schedule, warm_up=4)
    factors = np.array([learning_rate(config, k, 20) for k in range(21)])
    assert factors[:4].tolist() == [0.25, 0.5, 0.75, 1.0]
    if schedule == "constant":
        assert (factors[4:] == 1).all()
    else:
        assert (np.diff(factors[4:]) < 0).all()
        assert factors[12] == pytest.approx(0.5)
        assert factors[20] == pytest.approx(0, abs=1e-15)
    last = OptimiserConfig(learning_rate=1, schedule="cosine", last_rate=0.02)
    assert learning_rate(last, 20, 20) == pytest.approx(0.02)
    assert learning_rate(OptimiserConfig(), 0, 1) == 1e-3
