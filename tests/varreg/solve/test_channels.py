"""Lists of images: what several contrasts of two people say together."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.images.image import Image

SHAPE = (72, 80)
SETTINGS = dict(affine=None, deformable=True, progress=False)


def blobs(centres, x):
    return sum(np.exp(-((x[0] - a) ** 2 + (x[1] - b) ** 2) / 30) for a, b in centres)


def two_contrasts():
    """Two contrasts of two people, each of which shows one half of the anatomy, and the true u."""
    x = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")).astype(float)
    u = np.stack(
        [2.5 * np.sin(2 * np.pi * x[1] / SHAPE[1]), 2.5 * np.sin(2 * np.pi * x[0] / SHAPE[0])]
    )
    rng = np.random.default_rng(3)
    lower, upper = (
        np.stack([rng.uniform(8, 64, 25), rng.uniform(*columns, 25)], 1)
        for columns in ((6, 40), (40, 74))
    )
    moving, fixed = ([blobs(part, at) for part in (lower, upper)] for at in (x, x + u))
    return [m.max() - m for m in moving], fixed, u


@pytest.fixture(scope="module")
def case():
    return two_contrasts()


def error(result, u):
    """Mean error in voxels away from the border."""
    inner = (slice(None), slice(6, -6), slice(6, -6))
    return float(np.linalg.norm((result.displacement - u)[inner], axis=0).mean())


def test_two_contrasts_find_what_neither_shows_alone(case):
    moving, fixed, u = case
    alone = [error(varreg.solve(m, f, **SETTINGS), u) for m, f in zip(moving, fixed, strict=True)]
    both = varreg.solve(moving, fixed, **SETTINGS)
    assert min(alone) > 0.5
    assert error(both, u) < 0.5 * min(alone)
    assert [channel.weight for channel in both.channels] == [0.5, 0.5]
    mean = np.mean([channel.end for channel in both.channels])
    assert mean == pytest.approx(both.energy.similarity, rel=1e-5)
    assert "weighted mean of 2 pairs" in str(both)


def test_a_list_of_one_pair_has_the_bits_of_the_pair(case):
    moving, fixed, _ = case
    one, same = (
        varreg.solve(moving[0], fixed[0], **SETTINGS),
        varreg.solve(moving[:1], fixed[:1], **SETTINGS),
    )
    np.testing.assert_array_equal(one.displacement, same.displacement)
    assert one.energy == same.energy and same.channels == ()


def test_the_same_pair_twice_has_the_similarity_of_the_pair(case):
    moving, fixed, _ = case
    one = varreg.solve(moving[0], fixed[0], **SETTINGS)
    twice = varreg.solve(moving[:1] * 2, fixed[:1] * 2, weights=(1, 3), **SETTINGS)
    assert twice.energy.total == pytest.approx(one.energy.total, rel=1e-3)
    np.testing.assert_allclose(twice.displacement, one.displacement, atol=0.05)


def test_a_pair_of_next_to_no_weight_hardly_counts(case):
    moving, fixed, _ = case
    one = varreg.solve(moving[0], fixed[0], **SETTINGS)
    both = varreg.solve(moving, fixed, weights=(1, 1e-9), **SETTINGS)
    np.testing.assert_allclose(both.displacement, one.displacement, atol=0.05)


def test_each_pair_may_have_its_own_similarity(case):
    moving, fixed, u = case
    found = varreg.solve(
        [moving[0], fixed[1] * 0 + two_contrasts()[0][1]],
        fixed,
        similarities=("mi", "lncc"),
        **SETTINGS,
    )
    assert [channel.similarity for channel in found.channels] == ["mi", "lncc"]
    assert error(found, u) < 0.6


def test_any_number_of_threads_gives_the_same_bits(case):
    moving, fixed, _ = case
    one, two = (varreg.solve(moving, fixed, threads=n, **SETTINGS) for n in (1, 2))
    np.testing.assert_array_equal(one.displacement, two.displacement)


def test_a_contrast_on_another_grid_is_brought_to_the_first_one(case):
    """Half the voxels: the second contrast of the moving person is coarser, and shows less of the field of view."""
    moving, fixed, u = case
    images = [Image.from_array(array, spacing=1.0) for array in moving]
    coarse = moving[1].reshape(36, 2, 40, 2).mean((1, 3))[:, :36]
    affine = np.diag([2.0, 2.0, 1.0])
    affine[:2, 2] = 0.5
    placed = Image.from_array(coarse, affine=affine)
    found = varreg.solve(
        [images[0], placed], [Image.from_array(f, spacing=1.0) for f in fixed], **SETTINGS
    )
    assert error(found, u) < 0.6
    assert any(
        "`moving[1]` was resampled to the grid of `moving[0]`" in note for note in found.notes
    )


def test_affine_maps_take_all_pairs(case):
    """Either pair alone leaves the shift along its stripes open."""
    x = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    rows, columns = np.sin(x[0] / 3.0) + x[0] / 20, np.sin(x[1] / 3.0) + x[1] / 20
    fixed = [rows, columns]
    moving = [np.exp(-np.roll(image, (2, -3), (0, 1))) for image in fixed]
    found = varreg.solve(
        moving, fixed, affine="translation", deformable=False, start="header", progress=False
    )
    np.testing.assert_allclose(found.affine[:2, 2], (2, -3), atol=0.15)
    assert [channel.similarity for channel in found.channels] == ["mi", "mi"]


def test_a_result_of_several_pairs_is_saved_and_certified(case, tmp_path):
    moving, fixed, _ = case
    found = varreg.solve(moving, fixed, weights=(2, 1), **SETTINGS)
    found.save(tmp_path / "result")
    loaded = varreg.load(tmp_path / "result")
    assert loaded.channels == found.channels and loaded.options == found.options
    assert str(loaded).splitlines()[1:] == str(found).splitlines()[1:]
    certificate = varreg.certify(moving, fixed, found, iterations=0)
    assert any("only the first" in note for note in certificate.notes)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (lambda m, f: ((m, f[0]), {}), "`moving` has 2 images and `fixed` has 1 image"),
        (lambda m, f: ((m, f), dict(weights=(1, 2, 3))), "`weights` has 3 entries for 2 pairs"),
        (lambda m, f: ((m[0], f[0]), dict(weights=(1, 2))), "`weights` has 2 entries for 1 pair "),
        (lambda m, f: ((m, f), dict(similarities=("mi",))), "`similarities` has 1 entries for 2 pairs"),
        (lambda m, f: ((m, f), dict(weights=(1, 0))), r"`Options\(weights=...\)` must be"),
        (lambda m, f: (([m[0], m[1][:40]], f), {}), r"`moving\[1\]` has shape \(40, 80\)"),
        (lambda m, f: ((m, [f[0], np.zeros((8, 8, 8))]), {}), r"`fixed\[1\]` is constant"),
        (lambda m, f: ((m, [f[0], np.random.default_rng(0).random((8, 8, 8))]), {}), r"`fixed\[1\]` is 3D and `fixed\[0\]` 2D"),
        (lambda m, f: (([], []), {}), "empty lists"),
    ],
)  # fmt: skip
def test_bad_lists_get_a_sentence(case, arguments, words):
    given, settings = arguments(*case[:2])
    with pytest.raises(varreg.VarregError, match=words):
        varreg.solve(*given, **settings)


def test_a_contrast_of_another_place_gets_a_sentence(case):
    moving, fixed, _ = case
    affine = np.diag([1.0, 1.0, 1.0])
    affine[0, 2] = 500.0
    images = [Image.from_array(moving[0], spacing=1.0), Image.from_array(moving[1], affine=affine)]
    with pytest.raises(varreg.GeometryError, match="0 % of what `moving\\[0\\]` shows"):
        varreg.solve(images, fixed)


def test_a_batch_takes_lists_too_in_processes_as_well(case):
    moving, fixed, _ = case
    one = varreg.solve(moving, fixed, **SETTINGS)
    for processes in (0, 1):
        found = varreg.solve_batch([(moving, fixed)], processes=processes, **SETTINGS)[0]
        np.testing.assert_array_equal(found.displacement, one.displacement)


def test_label_maps_are_a_channel_and_say_what_noisy_images_do_not():
    pair = deformed_pair((96, 96), np.random.default_rng(5))
    rng = np.random.default_rng(0)
    noisy = [image + 0.5 * rng.normal(size=image.shape) for image in (pair.moving, pair.fixed)]
    settings = dict(affine="affine", deformable=True, progress=False)

    def overlap(result):
        """Mean Dice of the tissues."""
        warped, labels = result.warp_labels(pair.labels_moving), pair.labels_fixed
        both = [(warped == k, labels == k) for k in range(1, 6)]
        return np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in both])

    alone = varreg.solve(*noisy, **settings)
    together = varreg.solve(
        [noisy[0], pair.labels_moving],
        [noisy[1], pair.labels_fixed],
        similarities=("regional-mi", "mi"),
        **settings,
    )
    assert overlap(alone) < 0.8
    assert overlap(together) > 0.95
