"""Registrations by every similarity."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

import varreg
from varreg.data.phantom import deformed_pair
from varreg.energy.affine import AffineObjective
from varreg.errors import InputError
from varreg.images.intensities import unit_intensities
from varreg.options.options import Options
from varreg.similarity.choice import affine_choice, deformable_choice

from ..problems import smooth_image
from .problems_of_similarities import ALL, every_one, plain, similarity_of

T1 = np.array([0.0, 0.2, 0.5, 0.9, 0.65, 0.15, 0.4])
CONTRASTS = {  # of the moving image, and the slow shading on it
    "same": (T1, 0.0),
    "monotone": (T1**2, 0.1),
    "inverted": (np.where(T1 > 0, 1.05 - T1, 0.0), 0.2),
}
SUITABLE = {
    "ssd": "same", "lncc": "monotone", "mind": "inverted", "regional-mi": "inverted",
    "nmi": "same", "mi": "same",
}  # fmt: skip


@pytest.fixture(scope="module")
def anatomy():
    return deformed_pair(
        (96, 90), np.random.default_rng(4), affine=False, displacement_rms=2.0,
        correlation_length=12.0,
    )  # fmt: skip


def images_of(anatomy, contrast):
    """(fixed, moving) without noise."""
    table, shading = CONTRASTS[contrast]
    fixed = gaussian_filter(T1[anatomy.labels_fixed], 0.6)
    moving = gaussian_filter(table[anatomy.labels_moving], 0.6)
    slow = smooth_image(moving.shape, np.random.default_rng(0), 0.7) - 0.5
    return fixed, moving * np.exp(2 * shading * slow)


def error(displacement, anatomy):
    apart = np.linalg.norm(displacement - anatomy.displacement, axis=0)
    return float(apart[anatomy.mask].mean())


@pytest.mark.parametrize("name, contrast", SUITABLE.items())
@pytest.mark.parametrize("affine", [None, "rigid"])
def test_solve_recovers_a_known_deformation(name, contrast, affine, anatomy):
    fixed, moving = images_of(anatomy, contrast)
    result = varreg.solve(moving, fixed, similarity=name, affine=affine, progress=False, threads=1)
    assert error(result.displacement, anatomy) < 0.35 * error(0, anatomy)
    assert result.smallest_determinant > 0
    assert result.energy.total < result.start_energy.total
    assert result.energy.similarity > result.start_energy.similarity


@every_one
def test_energies_are_those_of_the_chosen_similarity(name, anatomy):
    images = images_of(anatomy, "same")
    options = dict(levels=(1,), iterations=2, bins=24, samples_per_node=None)
    result = varreg.solve(
        *images[::-1], similarity=name, affine=None, progress=False, threads=1, **options
    )
    fixed, moving = (plain(unit_intensities(np.float32(image), None)) for image in images)
    level = similarity_of(name, fixed, moving, np.float32, bins=24)
    objective = AffineObjective(level, "translation")
    assert result.start_energy.similarity == objective.evaluate(np.eye(3)).energy.similarity
    assert result.history[0].similarity == pytest.approx(result.start_energy.similarity, rel=1e-5)
    assert result.history[-1].similarity == result.energy.similarity


@pytest.mark.parametrize("name", ["lncc", "mind", "nmi", "ssd"])
def test_solve_with_masks_and_volumes(name):
    rng = np.random.default_rng(2)
    image = smooth_image((26, 25, 24), rng, 3.0)
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij")).astype(float)
    shift = 1.2 * np.sin(np.pi * grid[[1, 2, 0]] / 24.0)
    fixed = map_coordinates(image, grid + shift, order=3, mode="nearest")
    mask = np.zeros(image.shape, bool)
    mask[3:-3, 3:-3, 3:-3] = True
    result = varreg.solve(
        image, fixed, similarity=name, affine=None, fixed_mask=mask, progress=False, threads=1,
        smoothness_length=3.0,
    )  # fmt: skip
    inner = (slice(None),) + (slice(5, -5),) * 3
    apart = np.linalg.norm((result.displacement - shift)[inner], axis=0).mean()
    assert apart < 0.4 * np.linalg.norm(shift[inner], axis=0).mean()


def test_the_affine_stage_takes_what_sees_far():
    assert [affine_choice(name) for name in ALL] == ["overlap-mi"] * 5 + ["ssd"]
    coarsest = [deformable_choice(name, coarsest=True) for name in ALL]
    assert coarsest == ["mi", "mi", "nmi", "mi", "mi", "ssd"]
    assert [deformable_choice(name, coarsest=False) for name in ALL] == ALL


def test_the_per_pixel_estimator_is_of_mutual_information_only():
    for name in ALL:
        if name != "mi":
            with pytest.raises(InputError, match="add similarity='mi'"):
                Options(similarity=name, estimator="per-pixel")
