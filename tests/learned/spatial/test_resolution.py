"""Fields and images at other resolutions."""

import numpy as np
import pytest
import torch

from learned.affine import compose_affine
from learned.spatial import identity_grid, resize_field, resize_image
from varreg.backends.numba import backend as cpu
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage, coarsen

from .fields import affine, field, random

SIZES = [((7, 12), (21, 17)), ((12, 9), (5, 4)), ((4, 6, 5), (9, 6, 13)), ((9, 8, 7), (4, 5, 2))]


@pytest.mark.parametrize("old, new", SIZES)
def test_a_linear_field_is_resized_exactly(old, new):
    """Linear over the field of view; between the outermost centres and the border it is constant."""
    d = len(old)
    slope = random(2, d, d, seed=8)

    def linear(shape):
        place = identity_grid(shape, slope)
        size = torch.tensor(shape, dtype=torch.float64).reshape(-1, *[1] * d)
        return torch.einsum("nij,j...->ni...", slope, (place + 0.5) / size) * size

    found = resize_field(linear(old), new)
    expected = linear(new)
    inner = [slice(None)] * 2
    for n, m in zip(old, new, strict=True):
        margin = max(int(np.ceil((m / n - 1) / 2)), 0)
        inner.append(slice(margin, m - margin))
    torch.testing.assert_close(found[tuple(inner)], expected[tuple(inner)])
    assert expected[tuple(inner)].numel() > 0.2 * expected.numel()


@pytest.mark.parametrize("old, new", SIZES)
def test_resizing_keeps_the_place_that_a_field_points_to(old, new):
    constant = field((1,) * len(old)).expand(-1, -1, *old)
    found = resize_field(constant, new)
    ratio = torch.tensor(new) / torch.tensor(old)
    expected = constant.flatten(2)[:, :, 0] * ratio
    torch.testing.assert_close(found.flatten(2), expected[..., None].expand_as(found.flatten(2)))
    assert torch.equal(resize_field(constant, old), constant)


@pytest.mark.parametrize("old, new", SIZES[1::2])
def test_coarse_images_are_those_of_the_solver(old, new):
    image = random(1, 1, *old)
    level = image[0, 0].numpy()
    spacing = old[0] / new[0]
    expected = coarsen(LevelImage(level, None, Grid.with_spacing(old)), spacing, cpu, 1).data
    found = resize_image(image, expected.shape)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("old, new", SIZES[1::2])
def test_averages_keep_the_mean_and_the_range(old, new):
    image = random(2, 3, *old)
    found = resize_image(image, new)
    torch.testing.assert_close(found.flatten(2).mean(2), image.flatten(2).mean(2))
    torch.testing.assert_close(resize_image(torch.ones_like(image), new), torch.ones_like(found))
    assert found.min() >= image.min() and found.max() <= image.max()
    assert torch.equal(resize_image(image, old), image)


def test_average_of_whole_blocks():
    image = random(1, 1, 8, 6)
    expected = image.reshape(1, 1, 4, 2, 2, 3).mean((3, 5))
    torch.testing.assert_close(resize_image(image, (4, 2)), expected)


def test_autocast_leaves_positions_and_images_alone():
    image, u = random(1, 1, 20, 30, dtype=torch.float32), field((20, 30), dtype=torch.float32)
    matrix = affine(2).float()
    expected = compose_affine(matrix, u), resize_image(image, (7, 9))
    with torch.autocast("cpu", torch.bfloat16):
        found = compose_affine(matrix, u), resize_image(image, (7, 9))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
