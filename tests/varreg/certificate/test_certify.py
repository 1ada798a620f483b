"""``varreg.certify``: its figures are what they are called."""

import dataclasses
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.certificate.certificate import Certificate
from varreg.cli import main
from varreg.data.phantom import deformed_pair
from varreg.errors import FileError, GeometryError, InputError, OverlapError
from varreg.optimise.check import NONE_MADE, first_line
from varreg.optimise.history import Stop

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
QUICK = dict(threads=1, iterations=(6, 4), levels=(2, 1), affine_iterations=8)
SMALL = dict(threads=1, iterations=3)


@pytest.fixture(scope="module")
def pairs():
    return {
        2: deformed_pair((64, 71), np.random.default_rng(1)),
        3: deformed_pair((36, 40, 32), np.random.default_rng(2)),
    }


@pytest.fixture(scope="module")
def results(pairs):
    return {d: varreg.solve(p.moving, p.fixed, **QUICK) for d, p in pairs.items()}


@pytest.fixture(scope="module")
def certificates(pairs, results):
    return {d: varreg.certify(p.moving, p.fixed, results[d], **SMALL) for d, p in pairs.items()}


@pytest.fixture(scope="module")
def minimum(pairs):
    """A small problem solved as far as it can be: cubic, so that the energy is differentiable."""
    found = pairs[2]
    return varreg.solve(
        found.moving, found.fixed, preset="precise", interpolation="cubic", iterations=3000,
        gradient_tolerance=1e-7, energy_tolerance=0, similarity="mi", threads=1,
    )  # fmt: skip


# -- the figures of a minimiser


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


def starts(found, result):
    rng = np.random.default_rng(3)
    folded = found.displacement.copy()
    folded[(0, *(n // 2 for n in found.fixed.shape))] += 12
    return {
        "nothing": np.zeros_like(found.displacement),
        "truth": found.displacement,
        "noise": found.displacement + 0.3 * rng.normal(size=found.displacement.shape),
        "folded": folded,
        "wrong": -found.displacement,
        "affine": result.affine,
    }


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


# -- our own results


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


# -- maps from elsewhere


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


# -- words and files


def test_it_reads_as_a_paragraph_without_a_score(certificates):
    for certificate in certificates.values():
        words = str(certificate)
        assert "Stationary is not correct" in words
        assert "nan" not in words and "np.float" not in words
        assert not re.search(r"\b(score|quality|confidence|grade)\b", words.lower())
        assert len(words.splitlines()) > 6


def test_nothing_is_compared_with_a_gradient_that_is_none(certificates):
    """Where the images do not meet at the affine part, its gradient is rounding."""
    certificate = certificates[2]
    assert "of that at its affine part" in str(certificate)
    gradients = dataclasses.replace(certificate.gradients, affine=1e-15)
    assert "of that at its affine part" not in str(
        dataclasses.replace(certificate, gradients=gradients)
    )


@both_dimensions
def test_the_first_line_is_that_of_the_checks_and_the_scales_are_named(
    certificates, results, dimension
):
    certificate, affine = certificates[dimension], results[dimension].affine
    lines = str(certificate).splitlines()
    assert lines[0] == first_line(certificate.checks)
    scales = np.linalg.svd(affine[:-1, :-1])[1]
    np.testing.assert_allclose(certificate.affine_scales, scales)
    named = " x ".join(f"{scale:.3f}" for scale in scales)
    assert f"scales {named}, det A = {np.linalg.det(affine[:-1, :-1]):.3f}" in str(certificate)


def test_images_swapped_or_of_others_are_refused(pairs, results, tmp_path):
    pair, result = pairs[2], results[2]
    result.save(tmp_path / "saved")
    foreign = np.roll(pair.moving, 9, 0)
    for given in (result, tmp_path / "saved"):
        for moving, fixed in ((pair.fixed, pair.moving), (foreign, pair.fixed)):
            with pytest.raises(InputError, match="varreg.certify: `moving`, warped by the result"):
                varreg.certify(moving, fixed, given, **SMALL)
        varreg.certify(pair.moving, pair.fixed, given, **SMALL)
    cropped = varreg.solve(pair.moving[4:], pair.fixed, affine=None, iterations=2, progress=False)
    with pytest.raises(InputError, match="they are exchanged"):
        varreg.certify(pair.fixed, pair.moving[4:], cropped, **SMALL)
    # a map without its warped image cannot tell
    varreg.certify(foreign, pair.fixed, result.transform, **SMALL)


def test_certificates_of_earlier_versions_are_read(certificates):
    content = json.loads(certificates[2].to_json())
    del content["checks"], content["affine_scales"]
    read = Certificate.from_json(json.dumps(content))
    assert read.checks == read.affine_scales == ()
    assert str(read).splitlines()[0] == NONE_MADE


@both_dimensions
def test_json_keeps_everything(certificates, dimension, tmp_path):
    certificate = certificates[dimension]
    assert Certificate.from_json(certificate.to_json()) == certificate
    certificate.save(tmp_path / "c.json")
    assert Certificate.load(tmp_path / "c.json") == certificate
    with pytest.raises(FileError, match="exists"):
        certificate.save(tmp_path / "c.json")
    with pytest.raises(FileError, match="cannot be read"):
        Certificate.load(tmp_path / "absent.json")


def test_a_certificate_of_an_earlier_version_is_read(pairs, results):
    """What is now `unfolding` was `repair`, None or not, and counted rounds."""
    found, settings = pairs[2], dict(threads=1, iterations=0, smoothness_length=2.0)
    folded = starts(found, results[2])["folded"]
    for transform in (folded, results[2]):
        certificate = varreg.certify(found.moving, found.fixed, transform, **settings)
        assert (certificate.unfolding is None) == (transform is results[2])
        content = json.loads(certificate.to_json())
        content["repair"] = content.pop("unfolding")
        if content["repair"] is not None:
            content["repair"] |= {"rounds": 1, "everywhere": False}
        assert Certificate.from_json(json.dumps(content)) == certificate


def test_damaged_json_is_refused(certificates):
    content = json.loads(certificates[2].to_json())
    for change in (
        {"format": "other"},
        {"energy": 3},
        {"perturbations": {}},
        {"refinement": {**content["refinement"], "stop": "NEVER"}},
        {"options": {**content["options"], "bins": 1}},
        {"more": 1},
    ):
        with pytest.raises(FileError, match=r"Certificate\.from_json"):
            Certificate.from_json(json.dumps({**content, **change}))
    for text in ("", "[]", "{"):
        with pytest.raises(FileError):
            Certificate.from_json(text)


def test_the_command(pairs, tmp_path):
    import nibabel

    found = pairs[2]
    files = [str(tmp_path / name) for name in ("moving.nii", "fixed.nii")]
    for file, image in zip(files, (found.moving, found.fixed), strict=True):
        nibabel.save(nibabel.Nifti1Image(image[..., None].astype(np.float32), np.eye(4)), file)
    run = CliRunner().invoke
    common = ["--threads", "1"]
    quick = ["--iterations", "4", "--levels", "2,1", *common]
    out, again = str(tmp_path / "out"), str(tmp_path / "again")
    assert run(main, ["register", *files, "-o", out, *quick, "-q"]).exit_code == 0
    refined = run(main, ["register", *files, "-o", again, "--start", out, *quick])
    assert refined.exit_code == 0 and "Start: the saved result 'out'" in refined.output
    told = run(main, ["certify", *files, out, "--iterations", "2", *common])
    assert told.exit_code == 0 and "Stationary is not correct" in told.output
    output = str(tmp_path / "c.json")
    quiet = run(main, ["certify", *files, out, "-o", output, "-q", *common])
    assert quiet.exit_code == 0 and not quiet.output
    written = Certificate.load(output)
    assert written.options == varreg.load(out).options
    assert written.refinement.iterations <= 20
    as_json = run(main, ["certify", *files, out, "--json", "--bins", "16", *common])
    assert Certificate.from_json(as_json.output).options.bins == 16
    for wrong, code in (([*files, "absent"], 1), ([*files, out, "-o", output], 1), (files, 2)):
        assert run(main, ["certify", *wrong, *common]).exit_code == code
    many = run(main, ["certify", *files, out, "--iterations", "2,3", *common])
    assert many.exit_code == 2 and "--iterations" in many.output


# -- what is refused


BAD = {
    "nan": (lambda f: np.full((2, *f.shape), np.nan), InputError, "transform"),
    "shape": (lambda f: np.zeros((2, 4, 4)), InputError, "displacement"),
    "number": (lambda f: 3.0, InputError, "transform"),
    "3D": (lambda f: np.eye(4), InputError, "transform"),
    "away": (lambda f: np.full((2, *f.shape), 1e4), OverlapError, "direction"),
    "collapsed": (lambda f: 20.0 - np.indices(f.shape), GeometryError, "transform"),
    "absent": (lambda f: "no such file", FileError, "transform"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_transforms_that_are_refused(pairs, name):
    make, error, words = BAD[name]
    with pytest.raises(error, match=words) as caught:
        varreg.certify(pairs[2].moving, pairs[2].fixed, make(pairs[2].fixed))
    assert str(caught.value).startswith("varreg.certify")


@pytest.mark.parametrize(
    "settings",
    [dict(iterations=-1), dict(iterations=1.5), dict(seed="a"), dict(threads=0),
     dict(options="fast"), dict(preset="best"), dict(memoryy=1), dict(backend="cupy")],
    ids=str,
)  # fmt: skip
def test_arguments_that_are_refused(pairs, results, settings):
    with pytest.raises((InputError, varreg.BackendError)):
        varreg.certify(pairs[2].moving, pairs[2].fixed, results[2], **settings)


def test_images_that_are_refused(pairs, results):
    with pytest.raises(InputError, match=r"varreg\.certify: `moving` .*`fixed`|varreg\.certify"):
        varreg.certify(pairs[3].moving, pairs[2].fixed, results[2])
    with pytest.raises(InputError, match=r"varreg\.certify"):
        varreg.certify(np.zeros((9, 9)), pairs[2].fixed, results[2])


def test_a_stop_is_told_in_words(certificates):
    assert certificates[2].refinement.stop is Stop.BUDGET
    assert "budget" in str(certificates[2])
