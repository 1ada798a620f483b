"""A certificate in words and files; what is refused."""

import dataclasses
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.certificate.certificate import Certificate
from varreg.cli import main
from varreg.errors import FileError, GeometryError, InputError, OverlapError
from varreg.optimise.check import NONE_MADE, first_line
from varreg.optimise.history import Stop

from .settings import SMALL, both_dimensions, starts


def test_it_reads_as_a_paragraph_without_a_score(certificates):
    for certificate in certificates.values():
        words = str(certificate)
        assert "Convergence does not prove correctness" in words
        assert "nan" not in words and "np.float" not in words
        assert not re.search(r"\b(score|quality|confidence|grade)\b", words.lower())
        assert len(words.splitlines()) > 6


def test_nothing_is_compared_with_a_gradient_that_is_none(certificates):
    """Where the images do not meet at the affine part, its gradient is rounding."""
    certificate = certificates[2]
    assert "of that after affine" in str(certificate)
    gradients = dataclasses.replace(certificate.gradients, affine=1e-15)
    assert "of that after affine" not in str(dataclasses.replace(certificate, gradients=gradients))


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
    assert told.exit_code == 0 and "Convergence does not prove correctness" in told.output
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
    assert f"it stopped because {Stop.BUDGET.value}." in str(certificates[2])
