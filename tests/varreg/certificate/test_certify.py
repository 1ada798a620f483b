"""What can be said of a map: minimisers, our own results, maps from elsewhere."""

import dataclasses

import numpy as np
import pytest

import varreg

from .settings import QUICK, SMALL, both_dimensions, starts


@pytest.fixture(scope="module")
def minimum(pairs):
    """A small problem solved as far as it can be: cubic, so that the energy is differentiable."""
    found = pairs[2]
    return varreg.solve(
        found.moving, found.fixed, preset="precise", interpolation="cubic", iterations=3000,
        gradient_tolerance=1e-7, energy_tolerance=0, similarity="mi", threads=1,
    )  # fmt: skip


def test_the_gradient_of_a_minimiser_vanishes(pairs, minimum, results):
    found = pairs[2]
    there = varreg.certify(found.moving, found.fixed, minimum, threads=1)
    elsewhere = varreg.certify(
        found.moving, found.fixed, results[2], options=minimum.options, threads=1
    )
    assert there.gradients.here < 5e-3 * there.gradients.affine  # float32 rounds
    assert elsewhere.gradients.here > 30 * there.gradients.here
    assert 0 <= there.refinement.gain < 1e-6
    assert there.refinement.largest_moved < 0.02
    assert all(
        p.share_rising == 1 and p.mean_rise > 0 for p in there.perturbations if p.draws > p.folded
    )
    rises = [p.mean_rise for p in there.perturbations if p.draws > p.folded]
    assert len(rises) >= 3 and (np.diff(rises) > 0).all()


@both_dimensions
@pytest.mark.parametrize("name", ["nothing", "truth", "noise", "folded", "wrong", "affine"])
def test_the_gap_is_never_negative(pairs, results, dimension, name):
    found = pairs[dimension]
    transform = starts(found, results[dimension])[name]
    for iterations in (0, 4):
        certificate = varreg.certify(
            found.moving, found.fixed, transform, threads=1, iterations=iterations
        )
        refinement = certificate.refinement
        assert refinement.gain >= 0
        assert refinement.iterations <= iterations
        if iterations == 0:
            assert refinement.gain == 0 and refinement.largest_moved == 0
        if certificate.unfolding is None:
            assert refinement.start.total == pytest.approx(certificate.energy.total, abs=1e-12)
    assert refinement.mean_moved <= refinement.percentile_moved <= refinement.largest_moved


@both_dimensions
@pytest.mark.parametrize(
    "settings",
    [{}, dict(preset="paper"), dict(constraint="zero-boundary"), dict(similarity="lncc")],
    ids=["default", "paper", "zero-boundary", "lncc"],
)
def test_a_result_of_ours_is_certified_with_its_own_figures(pairs, dimension, settings, tmp_path):
    found = pairs[dimension]
    result = varreg.solve(found.moving, found.fixed, **{**QUICK, **settings, "deformable": True})
    result.save(tmp_path / "saved")
    one, two = (
        varreg.certify(found.moving, found.fixed, transform, **SMALL)
        for transform in (result, tmp_path / "saved")
    )
    assert one.energy.similarity == one.similarity_as_given == result.energy.similarity
    assert one.energy.smoothness == pytest.approx(result.energy.smoothness, rel=1e-9)
    assert one.energy.total == pytest.approx(result.energy.total, abs=1e-12)
    assert one.folds.bound == one.folds_as_given.bound == result.smallest_determinant
    assert one.overlap == result.overlap
    assert one.identity == result.start_energy
    assert one.options == result.options
    assert one.mean_moved == one.largest_moved == 0 and one.unfolding is None
    assert one.gradients.here == pytest.approx(result.history[-1].gradient_norm, rel=1e-6)
    assert dataclasses.replace(two, kind=one.kind) == one


@both_dimensions
def test_an_affine_result_too(pairs, dimension):
    found = pairs[dimension]
    result = varreg.solve(found.moving, found.fixed, deformable=False, **QUICK)
    certificate = varreg.certify(found.moving, found.fixed, result, **SMALL)
    assert certificate.affine_stage == result.energy
    assert certificate.energy.smoothness == 0 and certificate.folds.bound == 1
    assert certificate.energy.total == certificate.affine.total
    assert certificate.inverse.largest == 0
    assert certificate.affine_determinant == pytest.approx(np.linalg.det(result.affine))


@both_dimensions
def test_the_inverse_is_that_of_the_transform(results, certificates, dimension):
    inverse = results[dimension].inverse()
    found = certificates[dimension].inverse
    assert found.points == np.prod(results[dimension].transform.moving.shape)
    assert found.largest == pytest.approx(inverse.residual, rel=0.05)
    assert found.mean == pytest.approx(inverse.mean_residual, rel=0.05)


def test_large_images_are_inverted_at_some_voxels(pairs, results, monkeypatch):
    monkeypatch.setattr("varreg.certificate.field_figures.INVERTED", 500)
    found = varreg.certify(pairs[2].moving, pairs[2].fixed, results[2], **SMALL)
    assert found.inverse.points == 500
    assert "500 moving voxels" in str(found)


@both_dimensions
def test_doing_nothing_is_the_identity(pairs, dimension):
    found = pairs[dimension]
    certificate = varreg.certify(
        found.moving, found.fixed, np.zeros_like(found.displacement), **SMALL
    )
    assert certificate.similarity_as_given == certificate.identity.similarity
    assert certificate.energy.total == certificate.identity.total
    assert certificate.gradients.here == certificate.gradients.identity


@both_dimensions
def test_a_fold_is_found_where_it_is(pairs, dimension):
    found = pairs[dimension]
    displacement = np.zeros_like(found.displacement)
    place = tuple(n // 3 for n in found.fixed.shape)
    displacement[(0, *place)] = 3.0
    certificate = varreg.certify(found.moving, found.fixed, displacement, **SMALL)
    folds = certificate.folds_as_given
    assert folds.bound == pytest.approx(folds.places[0].bound) and folds.bound < -1.5
    # behind the voxel, and in no other cell than those around it
    assert 0 < folds.folded <= 2**dimension
    for fold in folds.places:
        np.testing.assert_allclose(fold.voxel, np.array(place), atol=0.51)
        np.testing.assert_allclose(fold.world, fold.voxel)  # arrays: 1 mm, no header
    assert folds.share == folds.folded / folds.cells
    assert certificate.largest_moved > 1
    assert "FOLD" in str(certificate)


def test_the_similarity_as_given_is_that_of_the_voxels(pairs):
    """Roughness between the nodes is seen as it is, and lost on the displacement grid."""
    found = pairs[2]
    rough = found.displacement + np.random.default_rng(4).choice([-1, 1], found.displacement.shape)
    one, two = (
        varreg.certify(found.moving, found.fixed, field, **SMALL)
        for field in (found.displacement, rough)
    )
    assert two.similarity_as_given < one.similarity_as_given - 0.05
    assert two.energy.similarity > two.similarity_as_given + 0.03


def test_shuffled_values_have_no_relation(pairs, certificates):
    found, rng = pairs[2], np.random.default_rng(5)
    noise = varreg.certify(
        rng.random(found.fixed.shape), rng.random(found.fixed.shape), np.eye(3), **SMALL
    )
    # without a relation, permuting changes nothing
    assert noise.identity.similarity == pytest.approx(
        noise.shuffled.mean, abs=6 * noise.shuffled.deviation
    )
    certificate = certificates[2]
    assert (
        certificate.energy.similarity
        > certificate.shuffled.mean + 20 * certificate.shuffled.deviation
    )


def test_the_seed_decides_what_is_random_and_nothing_else(pairs, results, certificates):
    found = pairs[2]
    same, other = (
        varreg.certify(found.moving, found.fixed, results[2], seed=seed, **SMALL) for seed in (0, 1)
    )
    assert same == certificates[2]
    assert other.shuffled != same.shuffled and other.perturbations != same.perturbations
    fixed = dict(seed=0, shuffled=same.shuffled, perturbations=same.perturbations)
    assert dataclasses.replace(other, **fixed) == same


def test_masks_and_another_energy(pairs, results):
    found = pairs[2]
    masked = varreg.certify(
        found.moving, found.fixed, results[2], fixed_mask=found.mask, similarity="ssd", **SMALL
    )
    assert masked.options.similarity == "ssd"
    assert masked.options.levels == results[2].options.levels
    preset = varreg.certify(found.moving, found.fixed, results[2], preset="paper", **SMALL)
    assert preset.options.smoothness_length == 0
    assert preset.folds.nodes == found.fixed.shape
