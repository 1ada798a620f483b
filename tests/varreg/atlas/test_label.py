"""Labels of a head from bent copies of it, which are known."""

import json

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import varreg
from varreg.data.phantom import brain_phantom
from varreg.data.phantom.random_map import random_invertible_map
from varreg.template.measures import dice

SHAPE = (64, 64)
QUICK = dict(threads=1, processes=0, progress=False)


@pytest.fixture(scope="module")
def head():
    return brain_phantom(SHAPE, np.random.default_rng(0), noise=0.0, bias=0.0)


@pytest.fixture(scope="module")
def atlases(head):
    found = []
    for k in range(3):
        bent, _ = random_invertible_map(SHAPE, np.random.default_rng(k + 1), 2.0, 8, False)
        found.append(
            (map_coordinates(head.t1, bent, order=1), map_coordinates(head.labels, bent, order=0))
        )
    return found  # fmt: skip


@pytest.fixture(scope="module")
def found(head, atlases):
    return varreg.label(head.t1, atlases, **QUICK)


def test_the_labels_are_nearly_those_of_the_head(head, atlases, found):
    alone = [dice(labels, head.labels) for _, labels in atlases]
    assert dice(found.labels, head.labels) > max(0.85, max(alone) + 0.1)
    assert found.labels.dtype == head.labels.dtype and found.names == (
        "atlas 1",
        "atlas 2",
        "atlas 3",
    )


def test_agreement_is_lower_where_the_labels_are_wrong(head, found):
    wrong = found.labels != head.labels
    assert 0 < wrong.mean() < 0.1
    assert found.agreement[wrong].mean() < found.agreement[~wrong].mean() - 0.2
    assert found.agreement.min() >= 0 and found.agreement.max() <= 1


def test_other_contrasts_of_the_atlases_serve_as_well(head, atlases):
    turned = [(1.2 - image, labels) for image, labels in atlases]
    again = varreg.label(head.t1, turned, **QUICK)
    assert dice(again.labels, head.labels) > 0.8


def test_a_mask_says_where_labels_are_wanted(head, atlases):
    mask = head.labels > 0
    mask[:20] = False
    inside = varreg.label(head.t1, atlases, mask=mask, method="majority", **QUICK)
    assert (inside.labels[~mask] == 0).all() and dice(inside.labels[mask], head.labels[mask]) > 0.8


def test_an_atlas_that_failed_is_named(head, atlases):
    wrong = (atlases[0][0], np.where(np.indices(SHAPE)[0] % 2, 3, 1))
    given = [*atlases, wrong]
    odd = varreg.label(head.t1, given, method="majority", affine="rigid", deformable=False, **QUICK)
    assert any("atlas 4" in str(check) for check in odd.warnings)


def test_what_is_printed_and_written(head, atlases, found, tmp_path):
    lines = str(found).splitlines()
    assert lines[0].startswith("Checks: ") and "by 3 atlases (local)" in str(found)
    found.save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"labels.nii.gz", "agreement.nii.gz", "labelling.json"}
    content = json.loads((tmp_path / "out" / "labelling.json").read_text())
    assert content["volumes"]["3"] == found.volumes[3] == (found.labels == 3).sum()
    kept = np.asarray(nibabel.load(tmp_path / "out" / "labels.nii.gz").dataobj).squeeze()
    np.testing.assert_array_equal(kept, found.labels)


def test_two_atlases_are_too_few_to_outvote_each_other(head, atlases):
    both = varreg.label(head.t1, atlases[:2], affine="rigid", deformable=False, **QUICK)
    assert "There are 2 atlases." in str(both)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(method="steps"), "`method` must be one of"),
        (dict(radius=0), "`radius` must be a whole number of voxels from 1; got 0"),
        (dict(mask=np.zeros(SHAPE)), "has no positive value"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(head, atlases, arguments, sentence):
    with pytest.raises(varreg.VarregError, match=sentence):
        varreg.label(head.t1, atlases, **arguments, **QUICK)
