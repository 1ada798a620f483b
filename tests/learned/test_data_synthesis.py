"""Painted images: what stays of the labels, what is random, what stays in [0, 1]."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from learned.data.augmentation import PAINTED, IntensityRanges, acquire, blur
from learned.data.painted_sources import LABELS, TABLE, head_labels, mosaic_labels
from learned.data.random_fields import seeded_generator
from learned.data.synthesis import Contrast, LabelTable, freesurfer_table, paint, random_contrast
from varreg.errors import InputError
from varreg.images.intensities import unit_intensities

HEAD = [0, 2, 3, 4, 16, 24, 41, 42, 43, 507, 511]


def mutual_information(a, b, bins=16):
    joint = np.histogram2d(np.ravel(a), np.ravel(b), bins)[0]
    joint /= joint.sum()
    product = np.outer(joint.sum(1), joint.sum(0))
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / product[some])).sum())


# --- tables -------------------------------------------------------------------------------------


def test_sides_of_a_structure_are_one_class_and_unknown_labels_their_own():
    table = freesurfer_table(HEAD[1:])
    assert table.values == tuple(HEAD)
    of = dict(zip(table.values, table.classes, strict=True))
    assert of[2] == of[41] and of[3] == of[42] and of[4] == of[43]
    assert len({of[v] for v in (0, 2, 3, 4, 16, 24, 507, 511)}) == 8
    tissue = {value: table.tissues[number] for value, number in of.items()}
    assert tissue[2] == tissue[16] and tissue[4] == tissue[24]
    assert len({tissue[v] for v in (0, 2, 3, 4, 507, 511)}) == 6
    brain = dict(zip(table.values, table.brain, strict=True))
    assert brain[2] and brain[24] and not (brain[0] or brain[507] or brain[511])


def test_indices_find_every_label_again():
    table = freesurfer_table(HEAD)
    labels = np.random.default_rng(0).choice(HEAD, (5, 6, 7)).astype(np.int16)
    indices = table.indices(labels)
    assert indices.dtype == np.uint8 and (np.array(table.values)[indices] == labels).all()
    for stranger in (5, 600, -3):
        labels[1, 2, 3] = stranger
        with pytest.raises(InputError, match=rf"\[{stranger}\], not in the table"):
            table.indices(labels)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (((2, 3), (0, 1), (0, 1), (False, True)), "`values` must be"),
        (((0, 3, 2), (0, 1, 2), (0, 1, 2), (False,) * 3), "`values` must be"),
        (((0, 3), (0, 1, 2), (0, 1, 2), (False, True)), "one entry for each"),
        (((0, 3), (0, 2), (0, 1, 2), (False, True)), "must contain all numbers"),
        (((0, 3), (0, 1), (0, 2), (False, True)), "`tissues` must be"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        LabelTable(*arguments)


# --- painting -----------------------------------------------------------------------------------


def test_painting_keeps_the_geometry_of_the_classes():
    table = freesurfer_table(HEAD)
    labels = np.random.default_rng(0).choice(HEAD, (40, 37))
    indices = torch.from_numpy(table.indices(labels))
    contrast = random_contrast(table, seeded_generator(0))
    image = paint(indices, contrast._replace(texture=torch.zeros(len(HEAD))), seeded_generator(1))
    assert image.dtype == torch.float32 and image.shape == (40, 37)
    classes = np.array(table.classes)[indices.numpy()]
    for number in range(len(table.tissues)):
        assert len(image[torch.from_numpy(classes == number)].unique()) == 1
    assert len(image.unique()) == len(table.tissues)
    assert (image[indices == 0] == 0).all()


def test_texture_has_the_deviation_of_its_label():
    indices = torch.zeros(120, 120, dtype=torch.uint8)
    indices[:, 60:] = 1
    contrast = Contrast(torch.tensor([0.3, 0.5]), torch.tensor([0.0, 0.05]))
    image = paint(indices, contrast, seeded_generator(2))
    assert (image[:, :60] == contrast.mean[0]).all()
    assert float(image[:, 60:].std()) == pytest.approx(0.05, rel=0.2)
    assert float(image[:, 60:].mean()) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InputError, match="`contrast` has 1 entries"):
        paint(indices, Contrast(torch.zeros(1), torch.zeros(1)), seeded_generator(0))


def test_stripping_drops_what_is_outside_the_brain():
    table = freesurfer_table(HEAD)
    brain = torch.tensor(table.brain)
    for seed in range(10):
        mean, texture = random_contrast(table, seeded_generator(seed), stripped=True)
        assert (mean[~brain] == 0).all() and (texture[~brain] == 0).all()
        assert (mean[brain] > 0).all()
        whole = random_contrast(table, seeded_generator(seed))
        assert torch.equal(whole.mean[brain], mean[brain]) and (whole.mean[1:] > 0).all()


def test_contrasts_differ_and_tissues_tend_to_be_alike():
    table = freesurfer_table([2, 3, 10, 11, 12, 13])
    means = torch.stack([random_contrast(table, seeded_generator(s)).mean for s in range(400)])
    assert 0 <= float(means.min()) and float(means.max()) <= 1
    correlation = torch.corrcoef(means.T[1:])
    nuclei = correlation[2:, 2:][~torch.eye(4, dtype=bool)]
    assert float(nuclei.min()) > 0.3 and float(correlation[0, 1:].abs().max()) < 0.2


def test_two_contrasts_of_one_anatomy_share_information():
    """More than chance leaves, though their intensities have nothing in common."""
    labels = torch.from_numpy(head_labels((96, 96), seeded_generator(0)))
    rng = np.random.default_rng(0)
    gains, correlations = [], []
    for seed in range(12):
        generator = seeded_generator(seed)
        first, second = (
            acquire(paint(labels, random_contrast(TABLE, generator), generator), PAINTED, generator)
            for _ in range(2)
        )
        head = (labels > 0).numpy()
        first, second = first.numpy()[head], second.numpy()[head]
        gains.append(
            mutual_information(first, second) / mutual_information(first, rng.permutation(second))
        )
        correlations.append(np.corrcoef(first, second)[0, 1])
    assert np.median(gains) > 5 and min(gains) > 2
    assert np.max(correlations) > 0.4 and np.min(correlations) < -0.2


# --- intensity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(33, 40), (17, 18, 19)])
@pytest.mark.parametrize("ranges", [IntensityRanges(), PAINTED], ids=["real", "painted"])
def test_scans_are_finite_and_fill_the_unit_interval(shape, ranges):
    image = torch.rand(shape, generator=seeded_generator(0)) * 0.8
    image[:5] = 0
    before = image.clone()
    for seed in range(10):
        scan = acquire(image, ranges, seeded_generator(seed))
        assert scan.dtype == torch.float32 and scan.shape == image.shape
        assert float(scan.min()) == 0 and float(scan.max()) == 1  # NaN would fail
        assert torch.equal(scan, acquire(image, ranges, seeded_generator(seed)))
    assert torch.equal(image, before)


STILL = dict(gamma=0, inversion=0, blur=(0, 0), bias=0, noise=0)


def test_nothing_asked_is_nothing_but_the_solvers_scaling():
    image = torch.rand(20, 21, generator=seeded_generator(0))
    scan = acquire(image, IntensityRanges(**STILL, clean_background=0.0), seeded_generator(1))
    assert np.allclose(scan.numpy(), unit_intensities(image.numpy(), None), atol=1e-6)


def test_inversion_exchanges_dark_and_bright_and_keeps_the_background():
    image = torch.linspace(0.1, 0.9, 400).reshape(20, 20)
    image[:4] = 0
    scan = acquire(image, IntensityRanges(**{**STILL, "inversion": 1}), seeded_generator(0))
    assert (scan[:4] == 0).all()
    assert np.corrcoef(image[4:].ravel(), scan[4:].ravel())[0, 1] < -0.99


def test_a_gamma_is_monotone():
    image = torch.linspace(0, 1, 400).reshape(20, 20)
    ranges = IntensityRanges(**{**STILL, "gamma": 0.4})
    scans = [acquire(image, ranges, seeded_generator(s)).flatten() for s in range(6)]
    assert all(bool((scan.diff() >= 0).all()) for scan in scans)
    assert torch.stack(scans)[:, 200].std() > 0.03


def test_noise_is_everywhere_or_only_in_the_head():
    image = torch.zeros(64, 64)
    image[16:48, 16:48] = 0.7
    for share, wanted in ((0.0, True), (1.0, False)):
        ranges = IntensityRanges(**{**STILL, "noise": 0.05}, clean_background=share)
        scan = acquire(image, ranges, seeded_generator(3))
        assert bool((scan[:10] > 0).any()) is wanted and float(scan[20:44, 20:44].std()) > 0.003


def test_a_bias_field_is_smooth():
    image = torch.full((64, 64), 0.5)
    image[0, 0] = 0
    scan = acquire(image, IntensityRanges(**{**STILL, "bias": 0.3}), seeded_generator(4))
    inner = scan[2:, 2:]
    assert float(inner.std()) > 0.01
    assert float(inner.diff(dim=0).abs().max()) < 0.1


def test_an_empty_image_stays_empty():
    ranges = IntensityRanges(clean_background=1.0)
    assert not acquire(torch.zeros(8, 8), ranges, seeded_generator(0)).any()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_images_out_of_range_are_refused(value):
    image = torch.zeros(8, 8)
    image[3, 3] = value
    with pytest.raises(InputError, match="finite and in"):
        acquire(image, PAINTED, seeded_generator(0))


@pytest.mark.parametrize(
    "change", [{"gamma": -1}, {"inversion": 2}, {"noise": float("nan")}, {"blur": (1.0, 0.5)}]
)
def test_intensity_ranges_without_sense_are_refused(change):
    with pytest.raises(InputError, match=rf"IntensityRanges\({next(iter(change))}"):
        IntensityRanges(**change)


@pytest.mark.parametrize("widths", [(1.3, 0.4), (0.0, 2.0), (0.7, 0.0, 1.1)])
def test_blur_is_the_gaussian_filter(widths):
    image = torch.rand(*(13, 9, 11)[: len(widths)], generator=seeded_generator(0)).double()
    expected = image.numpy()
    for axis, width in enumerate(widths):
        if width > 0:
            sigma = [width * (k == axis) for k in range(image.ndim)]
            expected = gaussian_filter(
                expected, sigma, mode="nearest", radius=[int(np.ceil(3 * s)) for s in sigma]
            )
    assert np.allclose(blur(image, widths).numpy(), expected, atol=1e-12)


# --- phantoms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(80, 72), (56, 64, 54)])
def test_heads_have_all_their_parts_each_within_the_next(shape):
    labels = head_labels(shape, seeded_generator(1))
    assert labels.dtype == np.uint8 and labels.shape == shape
    assert set(np.unique(labels)) == set(LABELS.values())
    assert label(labels > 0)[1] == 1
    inner = (labels > 0) & (labels < LABELS["skull"])
    touching = np.zeros(shape, bool)
    for axis in range(len(shape)):
        for step in (-1, 1):
            touching |= np.roll(inner, step, axis)
    assert not ((labels == 0) & touching).any()  # the brain has skull all around


@pytest.mark.parametrize("make", [head_labels, mosaic_labels])
@pytest.mark.parametrize("shape", [(48, 56), (32, 33, 34)])
def test_phantoms_depend_on_the_generator_alone(make, shape):
    first, again, other = (make(shape, seeded_generator(seed)) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).mean() > 0.05
    assert set(np.unique(first)) <= set(TABLE.values)


def test_mosaics_have_regions_and_a_background():
    labels = mosaic_labels((96, 96), seeded_generator(0))
    assert 0.2 < (labels == 0).mean() < 0.7
    assert len(np.unique(labels)) >= 8
    assert (labels[1:] == labels[:-1]).mean() > 0.85  # regions, not noise


@pytest.mark.parametrize("shape", [(20, 64), (64,), (64, 64, 64, 64)])
def test_phantoms_need_room(shape):
    for make in (head_labels, mosaic_labels):
        with pytest.raises(InputError, match="at least 32"):
            make(shape, seeded_generator(0))
