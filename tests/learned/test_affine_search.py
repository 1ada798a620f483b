"""AT-Net asked about mirrored views, and mutual information as the judge of its answers."""

import pytest
import torch

from learned.affine import affine_displacement
from learned.affine_search import search_affine
from learned.cascade import Cascade
from learned.losses import MutualInformation
from learned.spatial import view_weight, warp
from learned.views import symmetric_views, viewed
from varreg.errors import InputError
from varreg.options.options import Options

SHAPES = [(12, 12), (12, 9), (6, 6, 6), (5, 6, 7)]


def smooth(shape, batch=2, seed=0):
    image = torch.rand(batch, 1, *shape, generator=torch.Generator().manual_seed(seed))
    for axis in range(2, image.ndim):
        for _ in range(2):
            image = (image + image.roll(1, axis) + image.roll(-1, axis)) / 3
    return image


def information(moving, fixed, affine):
    displacement = affine_displacement(affine, moving.shape[2:])
    view = view_weight(displacement, moving.shape[2:])
    return MutualInformation(Options(similarity="mi"))(warp(moving, displacement), fixed, view)


@pytest.mark.parametrize("shape", SHAPES)
def test_views_are_maps_of_the_grid_onto_itself(shape):
    views = symmetric_views(shape)
    image = smooth(shape)
    assert torch.equal(views[0], torch.eye(len(shape)))
    assert len({tuple(view.flatten().tolist()) for view in views}) == len(views)
    for view in views:
        affine = torch.cat((view, torch.zeros(len(shape), 1)), 1).expand(2, -1, -1)
        seen = viewed(image, view)
        assert seen.shape == image.shape
        torch.testing.assert_close(seen, warp(image, affine_displacement(affine, shape)))


class Oracle(torch.nn.Module):
    """Knows one affine map, and of a mirrored pair its mirrored form: by asking which view it is."""

    def __init__(self, fixed, answer, right):
        super().__init__()
        self.views, self.answer, self.right = symmetric_views(fixed.shape[2:]), answer, right
        self.seen = [viewed(fixed, view) for view in self.views]

    def forward(self, pair):
        told = []
        for k, one in enumerate(pair.split(len(self.seen[0]))):
            assert torch.equal(one[:, 1:], self.seen[k])
            view, linear = self.views[k], self.answer[..., :-1]
            turned = view.T @ linear @ view, view.T @ self.answer[..., -1:]
            wrong = torch.eye(*self.answer.shape[-2:]).expand_as(self.answer)
            told.append(torch.cat(turned, -1) if k in self.right else wrong)
        return torch.cat(told)


@pytest.mark.parametrize("shape", [(48, 48), (48, 36), (18, 18, 18), (16, 20, 18)])
@pytest.mark.parametrize("right", [{0}, {1}, {3}])
def test_one_right_answer_among_the_views_is_found(shape, right):
    d, moving = len(shape), smooth(shape)
    answer = torch.eye(d, d + 1) + 0.1 * torch.randn(
        2, d, d + 1, generator=torch.Generator().manual_seed(1)
    )
    fixed = 1 - warp(moving, affine_displacement(answer, shape))
    got = search_affine(Oracle(fixed, answer, right), moving, fixed)
    torch.testing.assert_close(got, answer)


@pytest.mark.parametrize("passes", [1, 3])
def test_no_pass_loses_information(passes):
    cascade = Cascade.build(shape=(64, 64), at_width=2, scales=(), affine_passes=passes)
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    cascade.eval()
    moving, fixed = smooth((64, 64), 4), smooth((64, 64), 4, seed=1)
    identity = torch.eye(2, 3).expand(4, -1, -1)
    values = [information(moving, fixed, identity)]
    for count in range(1, passes + 1):
        found = search_affine(cascade.at_net, moving, fixed, count)
        values.append(information(moving, fixed, found))
    assert all((later >= earlier).all() for earlier, later in zip(values, values[1:], strict=False))


def test_a_pair_mirrored_has_the_mirrored_answer():
    """The views form a group, so asking about all of them treats all of them alike."""
    cascade = Cascade.build(shape=(64, 64), at_width=2, scales=(), affine_views="symmetric")
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    cascade.eval()
    moving, fixed = smooth((64, 64)), smooth((64, 64), seed=1)
    before = cascade(moving, fixed).affine
    assert not torch.equal(before, torch.eye(2, 3).expand(2, -1, -1))
    for view in symmetric_views((64, 64)):
        after = cascade(viewed(moving, view), viewed(fixed, view)).affine
        turned = torch.cat((view @ after[..., :-1] @ view.T, view @ after[..., -1:]), -1)
        torch.testing.assert_close(turned, before, rtol=1e-4, atol=1e-5)


def test_while_at_net_trains_it_sees_the_pair_as_it_is():
    settings = dict(shape=(64, 64), at_width=2, scales=(), affine_passes=2)
    plain = Cascade.build(**settings)
    searching = Cascade.build(**settings, affine_views="symmetric")
    moving, fixed = smooth((64, 64)), smooth((64, 64), seed=1)
    with torch.no_grad():
        for cascade in (plain, searching):
            cascade.at_net.head.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    affine = searching.train()(moving, fixed).affine
    assert affine.requires_grad
    assert torch.equal(affine, plain.train()(moving, fixed).affine)


def test_while_the_stages_train_a_frozen_at_net_sees_the_pair_as_it_is():
    settings = dict(shape=(64, 64), at_width=2, dt_width=1, scales=(2,), affine_passes=2)
    plain = Cascade.build(**settings)
    searching = Cascade.build(**settings, affine_views="symmetric")
    moving, fixed = smooth((64, 64)), smooth((64, 64), seed=1)
    with torch.no_grad():
        for cascade in (plain, searching):
            cascade.at_net.head.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
            cascade.freeze_affine()
    in_training = searching.train()(moving, fixed).affine
    assert torch.equal(in_training, plain.train()(moving, fixed).affine)
    assert not torch.equal(in_training, searching.eval()(moving, fixed).affine)


@pytest.mark.parametrize(
    "wrong", [{"affine_views": "all"}, {"affine_passes": 0}, {"affine_scale": 0.5}]
)
def test_an_impossible_affine_stage_is_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}.*got"):
        Cascade.build(shape=(32, 32), **wrong)
