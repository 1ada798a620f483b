"""The ways in which a grid is mirrored onto itself, and passes that see the pair in them."""

import pytest
import torch
from torch import nn

from learned.affine import affine_displacement
from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.passes import alternating_view, seen_from, symmetric_views, viewed
from learned.spatial import warp


def smooth(shape, seed=0):
    """A smooth random image in [0, 1], (1, 1, *S)."""
    image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed))
    for axis in range(2, image.ndim):
        for _ in range(4):
            image = (image + image.roll(1, axis) + image.roll(-1, axis)) / 3
    return (image - image.min()) / (image.max() - image.min())


def contrasts(shape):
    """Two images of one structure with nothing but their edges in common."""
    image = smooth(shape)
    return image, (1 - (2 * image - 1).abs()).clamp(0, 1)


class Turned(nn.Module):
    """Answers with the gradient of the moving image: a network that commutes with reflections."""

    dimension = 2

    def forward(self, pair):
        edges = torch.gradient(pair[:, 0], dim=(1, 2))
        return torch.stack(edges, 1)


@pytest.mark.parametrize("shape", [(12, 12), (12, 9), (6, 6, 6), (5, 6, 7)])
def test_views_are_maps_of_the_grid_onto_itself(shape):
    views = symmetric_views(shape)
    image = smooth(shape)
    assert torch.equal(views[0], torch.eye(len(shape)))
    assert len({tuple(view.flatten().tolist()) for view in views}) == len(views)
    for view in views:
        affine = torch.cat((view, torch.zeros(len(shape), 1)), 1)[None]
        seen = viewed(image, view)
        assert seen.shape == image.shape
        torch.testing.assert_close(seen, warp(image, affine_displacement(affine, shape)))


def test_views_turn_displacements_with_the_images():
    image = smooth((24, 24), 2)
    u = 2 * torch.cat([smooth((24, 24), k) for k in (3, 4)], 1) - 1
    for view in symmetric_views((24, 24)):
        turned = seen_from(u, view.T)  # as the viewed images have it
        torch.testing.assert_close(
            viewed(warp(image, u), view), warp(viewed(image, view), turned), atol=1e-5, rtol=0
        )


def test_alternating_views_of_a_network_without_preference_change_nothing():
    images = contrasts((24, 24))
    cascades = [
        Cascade(
            None,
            [Turned()],
            ModelConfig(scales=(1,), iterations=(5,), views=views, zero_mean=False),
        )
        for views in ("one", "alternating")
    ]
    one, several = (cascade(*images).total for cascade in cascades)
    torch.testing.assert_close(one, several, atol=1e-4, rtol=0)
    assert len({tuple(alternating_view(k, (9, 9, 9)).flatten().tolist()) for k in range(8)}) == 8
