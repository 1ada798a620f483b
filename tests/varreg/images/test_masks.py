"""Masks: one rule says which voxels count, and what is odd about a mask is said."""

import nibabel
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.errors import GeometryError, InputError
from varreg.images.accepted import Image, read_mask

SHAPE = (20, 24)
IMAGE = Image.from_array(np.random.default_rng(0).random(SHAPE))


def disc(radius=7.0, shape=SHAPE):
    return np.hypot(*(np.stack(np.indices(shape)) - np.array(shape).reshape(2, 1, 1) / 2)) < radius


def read(value, image=IMAGE):
    return read_mask(value, image, argument="fixed_mask")


def names(mask):
    return [check.name for check in mask.checks]


@pytest.mark.parametrize("value", [disc(), disc() * 1.0, disc() * np.uint8(255), disc() * 3 + 0.0])
def test_masks_of_two_values_are_nothing_odd(value):
    mask = read(value)
    np.testing.assert_array_equal(mask.inside, disc())
    assert mask.checks == () and mask.notes == (
        f"`fixed_mask` contains {100 * disc().mean():.3g} % of the voxels.",
    )


@pytest.mark.parametrize(
    "value",
    [
        np.where(disc(), 1, -1),
        np.where(disc(), 200, 30).astype(np.uint8),
        np.where(disc(), 3.0, 1.0),
    ],
    ids=["signs", "grey", "labels"],
)
def test_half_of_the_largest_value_is_the_limit_and_other_values_are_said(value):
    mask = read(value)
    np.testing.assert_array_equal(mask.inside, disc())
    assert mask.weights is None and mask.counts is mask.inside
    assert names(mask) == ["fixed mask"]
    assert "half of the largest, are inside" in mask.checks[0].sentence


def test_fractions_are_weights():
    distance = np.hypot(*(np.stack(np.indices(SHAPE)) - np.array(SHAPE).reshape(2, 1, 1) / 2))
    soft = np.exp(-((distance / 7) ** 2) * np.log(2)).astype(np.float32)
    soft[:, :5] = 0
    mask = read(soft)
    np.testing.assert_array_equal(mask.weights, soft)
    np.testing.assert_array_equal(mask.inside, soft >= 0.5)  # for what knows no weights
    assert mask.checks == () and mask.counts is mask.weights
    assert mask.notes == (
        f"`fixed_mask` weighs {100 * (soft > 0).mean():.3g} % of the voxels, by {soft[soft > 0].mean():.3g} on average.",
    )


def test_only_ratios_of_weights_count():
    soft = np.where(disc(), 0.5, 0.125)
    np.testing.assert_array_equal(read(soft).weights, np.where(disc(), 1, 0.25))
    same = read(np.full(SHAPE, 0.3))
    assert same.weights is None and same.inside.all()  # as good as no mask, which is said
    assert names(same) == ["fixed mask share"]
    plain = read(np.where(disc(), 0.5, 0))
    assert plain.weights is None
    np.testing.assert_array_equal(plain.inside, disc())


def test_voxels_without_data_have_no_weight():
    data = np.random.default_rng(0).random(SHAPE)
    data[:3] = np.nan
    image = Image.from_array(data)
    weights = read_mask(np.where(disc(), 1, 0.5), image, argument="fixed_mask").weights
    assert (weights[:3] == 0).all() and (weights[3:] > 0).all()


@pytest.mark.parametrize(
    "value, said",
    [
        (np.where(disc(), 1.5, 0.25), "from 0.25 to 1.5; weights are between 0 and 1"),
        (np.where(disc(), 1, -0.02), "from -0.02 to 1; weights are between 0 and 1"),
        (np.where(disc(), 37.5, 0), "Divide by the largest"),
        (np.where(disc(1.5), 1, 1e-3), "add up to"),
    ],
    ids=["above 1", "overshoot", "per cent", "little"],
)
def test_fractions_that_are_no_weights_are_refused(value, said):
    with pytest.raises(InputError, match="`fixed_mask`") as refused:
        read(value)
    assert said in str(refused.value)


def test_a_mask_of_a_lesion_instead_of_all_but_the_lesion_is_warned_of():
    shape = (40, 44)
    image, lesion = Image.from_array(np.random.default_rng(0).random(shape)), disc(3.0, shape)
    wrong, right = read(lesion, image), read(~lesion, image)
    assert names(wrong) == ["fixed mask share"] and "invert it" in wrong.checks[0].remedy
    assert right.checks == ()
    assert names(read(np.ones(SHAPE))) == ["fixed mask share"]


def test_a_mask_on_another_grid_is_read_by_its_nearest_voxels():
    fine = np.kron(disc(), np.ones((2, 2)))
    image = Image.from_array(IMAGE.data, affine=np.diag([2.0, 2.0, 1.0]))
    affine = np.array([[1.0, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    mask = read(Image.from_array(fine, affine=affine), image)
    np.testing.assert_array_equal(mask.inside, disc())
    assert "by the nearest voxel of another grid" in mask.notes[0]
    volume = Image.from_array(np.random.default_rng(0).random((8, 9, 10)), spacing=2.0)
    cropped = nibabel.Nifti1Image(
        np.ones((3, 4, 5), np.uint8),
        np.array([[2.0, 0, 0, 4], [0, 2, 0, 2], [0, 0, 2, 6], [0, 0, 0, 1]]),
    )
    with pytest.raises(InputError, match="4 voxels along each axis"):
        read(cropped, volume)
    cropped = nibabel.Nifti1Image(np.ones((4, 4, 5), np.uint8), cropped.affine)
    inside = np.zeros((8, 9, 10), bool)
    inside[2:6, 1:5, 3:8] = True
    np.testing.assert_array_equal(read(cropped, volume).inside, inside)


def test_what_is_no_mask_of_the_image_is_refused():
    with pytest.raises(InputError, match="pass a mask with a header"):
        read(np.ones((40, 48)))
    away = nibabel.Nifti1Image(np.ones((*SHAPE, 1), np.uint8), np.eye(4) + 15 * np.eye(4, k=3))
    with pytest.raises(GeometryError, match="another place"):
        read(away)
    with pytest.raises(InputError, match="no positive value"):
        read(-1.0 * disc())


def test_masks_stand_in_the_result_and_in_the_certificate(tmp_path):
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    head = pair.labels_fixed > 0
    result = varreg.solve(pair.moving, pair.fixed, fixed_mask=head, progress=False)
    note = f"`fixed_mask` contains {100 * head.mean():.3g} % of the voxels."
    assert note in str(result).splitlines() and not any("mask" in c.name for c in result.warnings)
    grey = varreg.solve(pair.moving, pair.fixed, fixed_mask=np.where(head, 200, 9), progress=False)
    np.testing.assert_array_equal(grey.u, result.u)
    assert "has values other than 0" in str(grey).splitlines()[0]
    grey.save(tmp_path / "saved")
    assert varreg.load(tmp_path / "saved").notes == (note,)
    certificate = varreg.certify(pair.moving, pair.fixed, grey, fixed_mask=head, iterations=0)
    assert note in str(certificate).splitlines()


def test_weights_are_those_of_the_solution():
    """Half of all weights are the same, 0 and 1 are a mask, and weights between lie between."""
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    head = pair.labels_fixed > 0

    def solved(**masks):
        return varreg.solve(pair.moving, pair.fixed, progress=False, **masks)

    weights = np.where(head, 1, 0.25)
    one, half = solved(fixed_mask=weights), solved(fixed_mask=weights / 2)
    np.testing.assert_array_equal(one.u, half.u)
    for name in ("fixed_mask", "moving_mask"):
        np.testing.assert_array_equal(
            solved(**{name: np.full((64, 64), 0.3)}).u, solved(**{name: np.ones((64, 64))}).u
        )
    without, masked = solved(), solved(fixed_mask=head)
    gains = [r.energy.similarity for r in (without, one, masked)]
    assert gains == sorted(gains)
    certificate = varreg.certify(pair.moving, pair.fixed, one, fixed_mask=weights, iterations=0)
    assert certificate.energy.total == pytest.approx(one.energy.total, rel=1e-6)
    assert "weighs 100 % of the voxels" in str(certificate)
