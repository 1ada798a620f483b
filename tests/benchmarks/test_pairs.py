"""Benchmarks: pairs whose answer is known, scores, methods."""

import json

import nibabel
import numpy as np
import pytest

import varreg

from .heads import FOLDER, smooth_head

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples are not part of this copy")


@pytest.mark.parametrize("shape", [(96, 112), (64, 56, 48)])
@pytest.mark.parametrize("affine", [False, True])
def test_moving_image_at_the_answer_is_the_fixed_anatomy(bench, shape, affine):
    pairs, warps = bench("pairs"), bench("warps")
    image = smooth_head(shape)
    pair = pairs.known_pair("x", image, image, np.random.default_rng(3), affine)
    assert pair.displacement.shape == (len(shape), *shape)
    seen = warps.sample(pair.moving, warps.voxel_grid(shape) + pair.displacement)
    assert np.abs(pair.moving - pair.fixed)[pair.mask].mean() > 0.02  # they differ before
    assert np.abs(seen - pair.fixed)[pair.mask].mean() < 0.004


def test_random_map_and_its_inverse_cancel(bench):
    warps = bench("warps")
    shape = (96, 96)
    psi, back = warps.random_map(shape, np.random.default_rng(1), affine=True)
    grid = warps.voxel_grid(shape)
    there = np.stack([warps.sample(component, grid + back) for component in psi])
    deep = np.all(np.abs(grid - 47.5) < 24, axis=0)  # beyond the grid the map is not known
    deep &= np.all(np.abs(grid + back - 47.5) < 36, axis=0)
    assert deep.sum() > 1000
    assert np.abs(back)[:, deep].max() > 5
    assert np.abs(there - grid)[:, deep].max() < 0.05


def test_answer_scores_zero_and_identity_scores_its_length(bench):
    pairs = bench("pairs")
    (pair,) = pairs.phantom_pairs(2, affine=True, seed=2, limit=1, size=64)
    perfect = pairs.scores(pair, pair.displacement)
    assert perfect == {"tre": 0.0, "p95": 0.0, "folds": 0.0}
    nothing = pairs.scores(pair, np.zeros_like(pair.displacement))
    length = np.linalg.norm(pair.displacement.astype(float), axis=0)[pair.mask].mean()
    assert nothing["tre"] == pytest.approx(length, rel=1e-5)
    assert nothing["p95"] > nothing["tre"] > 0


@pytest.mark.parametrize("dimension", [2, 3])
def test_folds_are_counted_where_the_determinant_is_not_positive(bench, dimension):
    u = np.random.default_rng(0).normal(size=(dimension, *(9,) * dimension))
    jacobian = np.stack([np.stack(np.gradient(component)) for component in u])
    jacobian += np.eye(dimension).reshape(dimension, dimension, *(1,) * dimension)
    determinant = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)))
    expected = 100 * (determinant <= 0).mean()
    assert bench("pairs").folded_percent(u) == pytest.approx(expected)


def test_manifest_pairs_depend_on_subject_and_seed_only(bench, tmp_path):
    pairs = bench("pairs")
    head = smooth_head((40, 44, 36))
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(head, np.eye(4)), tmp_path / f"{name}.nii.gz")
    entries = [{"id": name, "T1": f"{name}.nii.gz", "T2": f"{name}.nii.gz"} for name in "ab"]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(entries))
    every = list(pairs.manifest_pairs(manifest, 2, True, seed=4))
    assert [pair.name.split(":")[0] for pair in every] == ["a", "a", "b", "b"]
    assert all(pair.fixed.shape == (224, 224) for pair in every)
    (third,) = pairs.manifest_pairs(manifest, 2, True, seed=4, limit=1, subjects=["b"])
    assert third.name == every[2].name
    assert np.array_equal(third.moving, every[2].moving)
    assert not np.array_equal(every[0].moving, every[2].moving)
    with pytest.raises(ValueError, match="no subject c"):
        next(pairs.manifest_pairs(manifest, 2, True, subjects=["c"]))


def test_saved_pairs_come_back(bench, tmp_path):
    pairs = bench("pairs")
    made = list(pairs.phantom_pairs(2, affine=False, seed=0, limit=2, size=32))
    pairs.save_pairs(made, tmp_path)
    for one, other in zip(made, pairs.load_pairs(tmp_path), strict=True):
        assert one.name == other.name
        for name in ("fixed", "moving", "displacement", "mask"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_methods_know_every_preset(bench):
    from varreg.options.presets import PRESETS

    known = bench("methods").varreg_settings()
    assert {f"varreg-{name}" for name in PRESETS} - set(known) == {"varreg-default"}
    for arguments in known.values():
        settings = dict(arguments)
        settings.pop("iterations_factor", None)
        varreg.Options.preset(settings.pop("preset", "default"), **settings)
    assert bench("methods").scaled_iterations(0.5, 3) == (6, 5, 16)


def test_factors_are_options_around_the_default(bench):
    factors = bench("factors")
    for name, changes in factors.factors().items():
        assert changes.count({}) == 1, name
        assert len(changes) > 1, name
        for change in changes:
            solved = varreg.Options(**factors.options(change, (50, 80)))
            assert (solved != varreg.Options()) == bool(change)
    double = factors.options({"length_factor": 2.0}, (50, 80))
    assert double["smoothness_length"] == pytest.approx(0.1 * np.sqrt(50 * 80))


def test_enlarged_pairs_have_the_shape_and_the_head(bench):
    fixed, moving = bench("synthetic").enlarged_pair((256, 200))
    for image in (fixed, moving):
        assert image.shape == (256, 200)
        assert image.dtype == np.float32
        assert 0.3 < (image > 0).mean() < 0.7
