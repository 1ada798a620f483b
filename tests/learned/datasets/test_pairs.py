"""What a pair is, and where it comes from."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from learned.data.augmentation import IntensityRanges
from learned.data.datasets import PairDataset
from learned.data.manifest import read_manifest
from learned.data.painted_sources import LabelSource, PhantomSource
from learned.data.random_fields import seeded_generator
from learned.data.random_maps import WarpRanges
from learned.data.sources import RealSource
from learned.data.subjects import check_disjoint, label_files, split_subjects
from learned.data.synthesis import LabelTable
from learned.data.volumes import Volume, load_labels, load_volume
from learned.inverse import jacobian_determinant
from learned.spatial import warp
from varreg.errors import InputError

from .scenes import SHAPE, head, sources, volume

STILL = WarpRanges(rotation=0, scale=(1, 1), shear=0, shift=0, amplitude=0)
UNCHANGED = IntensityRanges(gamma=0, inversion=0, blur=(0, 0), bias=0, noise=0, clean_background=0)


@pytest.mark.parametrize("shape", [SHAPE, (32, 36, 33)], ids=["2D", "3D"])
def test_pairs_are_images_in_range_with_a_map_without_folds(shape):
    dataset = PairDataset(sources(shape), length=5, seed=0)
    d = len(shape)
    for k in range(5):
        pair = dataset[k]
        assert pair.moving.shape == pair.fixed.shape == pair.visible.shape == (1, *shape)
        assert pair.truth.shape == (d, *shape) and pair.affine.shape == (d, d + 1)
        assert pair.subject in dataset.subjects
        for image in (pair.moving, pair.fixed):
            assert image.dtype == torch.float32
            assert float(image.min()) >= 0 and 0.5 < float(image.max()) <= 1
        assert torch.isfinite(pair.truth).all() and pair.visible.dtype == torch.bool
        assert float(jacobian_determinant(pair.truth[None]).min()) > 0
        assert not torch.equal(pair.moving, pair.fixed)


@pytest.fixture(scope="module")
def one_contrast():
    """A smooth head whose two contrasts are the same image, so that pairs can be compared."""
    smooth = gaussian_filter(volume("r1", 1).images[0], 1.5)
    return RealSource(
        [Volume("r1", ("T1", "T2"), np.stack([smooth] * 2))], SHAPE, intensities=UNCHANGED
    )


def test_the_truth_aligns_the_images(one_contrast):
    dataset = PairDataset([(one_contrast, 1.0)], length=12, seed=1, warp=WarpRanges(mild=0.0))
    for k in range(12):
        pair = dataset[k]
        warped = warp(pair.moving[None], pair.truth[None])[0]
        off, before = (
            float((image - pair.fixed)[pair.visible].square().mean().sqrt())
            for image in (warped, pair.moving)
        )
        assert off < 0.06 and off < 0.5 * before


def test_only_the_truth_parts_the_images(one_contrast):
    """Without a truth both show the scene in the same place, whatever the pose and the flips."""
    dataset = PairDataset([(one_contrast, 1.0)], length=8, seed=1, warp=STILL)
    for k in range(8):
        pair = dataset[k]
        assert not pair.truth.any() and torch.equal(pair.moving, pair.fixed)
    assert not torch.equal(dataset[0].visible, dataset[1].visible)


def test_shares_of_the_sources_are_kept():
    dataset = PairDataset(
        [(PhantomSource([0], (32, 32)), 3.0), (PhantomSource([1], (32, 32)), 1.0)],
        length=80, seed=0,
    )  # fmt: skip
    count = sum(dataset[k].subject == "phantom-0" for k in range(80))
    assert 50 <= count <= 70


def test_pairs_with_nothing_in_view_are_drawn_again_and_then_refused():
    labels = np.zeros((40, 40, 40), np.int16)
    labels[18:22, 18:22] = 2
    source = LabelSource({"a": labels}, (40, 40))
    far = WarpRanges(shift=0.6, mild=0.0)
    dataset = PairDataset([(source, 1.0)], length=50, seed=0, warp=far)
    assert all(dataset[k].visible.sum() >= 4 for k in range(10))
    tiny = WarpRanges(scale=(10, 10), mild=0.0)
    with pytest.raises(InputError, match="narrow `warp` and `pose`"):
        PairDataset([(source, 1.0)], length=1, seed=0, warp=tiny)[0]


def test_no_slice_of_a_subject_is_in_two_parts():
    heads = {f"s{k}": head(k) for k in range(6)}
    split = split_subjects(heads, (4, 1, 1), seed=0)
    parts = {
        part: PairDataset(
            [(LabelSource({name: heads[name] for name in names}, SHAPE), 1.0)], length=8, seed=0
        )
        for part, names in (
            ("train", split.train), ("validation", split.validation), ("test", split.test)
        )
    }  # fmt: skip
    check_disjoint({part: dataset.subjects for part, dataset in parts.items()})
    drawn = {part: {data[k].subject for k in range(8)} for part, data in parts.items()}
    check_disjoint(drawn)
    assert drawn["train"] <= set(split.train) and len(drawn["train"]) > 1
    with pytest.raises(InputError, match="in 'train' and 'test'"):
        check_disjoint({"train": parts["train"].subjects, "test": parts["train"].subjects})


def test_real_scenes_are_two_different_contrasts_that_coincide():
    data = volume("r", 3)
    source = RealSource([data], SHAPE)
    slices = [data.images[:, :, :, k] for k in range(36)]
    pairs = set()
    for seed in range(40):
        scene = source.draw(seeded_generator(seed))
        matches = [
            (i, j, k)
            for k, piece in enumerate(slices)
            for i in range(3)
            for j in range(3)
            if np.array_equal(piece[i], scene.moving) and np.array_equal(piece[j], scene.fixed)
        ]
        assert matches
        pairs |= {match[:2] for match in matches}
        assert (scene.moving[~scene.foreground] == 0).all() and scene.foreground.any()
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


@pytest.mark.parametrize("stripped", [0.0, 1.0])
def test_label_scenes_show_the_head_or_only_the_brain(stripped):
    source = LabelSource({"a": head()}, SHAPE, stripped=stripped)
    area = []
    for seed in range(10):
        scene = source.draw(seeded_generator(seed))
        assert not scene.moving[~scene.foreground].any()
        assert not scene.fixed[~scene.foreground].any()
        area.append(float(scene.foreground.float().mean()))
    middle = head()[:, :, 18]
    whole, brain = (middle > 0).mean(), ((middle > 0) & (middle < 500)).mean()
    assert max(area) == pytest.approx(brain if stripped else whole, abs=0.02)


def test_labels_need_a_table_that_knows_them():
    table = LabelTable((0, 1), (0, 1), (0, 1), (False, True))
    with pytest.raises(InputError, match="not in the table"):
        LabelSource({"a": head()}, SHAPE, table=table)
    blocks = np.zeros((20, 20, 20), int)
    blocks[5:15, 5:15, 5:15] = 1
    assert LabelSource({"a": blocks}, (16, 16), table=table).draw(seeded_generator(0)).fixed.any()


def test_phantoms_are_different_people():
    source = PhantomSource(range(10, 40), (40, 40), mosaics=0.5)
    assert source.subjects[0] == "phantom-10" and len(source.subjects) == 30
    drawn = {source.draw(seeded_generator(s)).subject for s in range(60)}
    assert len(drawn) > 15
    with pytest.raises(InputError, match="seeded_generator"):
        PhantomSource([-1], (40, 40)).draw(seeded_generator(0))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: PhantomSource([], SHAPE), "no subjects"),
        (lambda: PhantomSource([1, 1], SHAPE), "'phantom-1' is twice"),
        (lambda: RealSource([], SHAPE), "no subjects"),
        (lambda: RealSource([Volume("a", ("T1",), volume("a").images[:1])], SHAPE), "requires two"),
        (lambda: PairDataset([], length=1, seed=0), "`sources` must be"),
        (lambda: PairDataset(sources()[:1], length=0, seed=0), "`length`"),
        (lambda: PairDataset(sources()[:1], length=1, seed=-1), ">= 0"),
        (lambda: PairDataset([(PhantomSource([0], SHAPE), 0.0)], length=1, seed=0), "share"),
        (
            lambda: PairDataset(
                [(PhantomSource([0], SHAPE), 1.0), (PhantomSource([1], (40, 40)), 1.0)],
                length=1, seed=0,
            ),
            "same shape",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_a_dataset_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_indices_end_with_the_epoch(mixed):
    with pytest.raises(IndexError, match="12"):
        mixed[0, 12]
    assert len(mixed) == 12


@pytest.mark.slow
@pytest.mark.data
def test_real_heads_and_label_maps_make_pairs(data_folder, tmp_path):
    subjects = [s for s in read_manifest(data_folder / "manifest.json") if s.id == "mni"]
    volumes = [load_volume(subject, 2.0, tmp_path) for subject in subjects]
    name, path = next(iter(label_files(data_folder / "labels").items()))
    labels = {name: load_labels(path, 2.0, tmp_path)}
    shape = (112, 112)
    both = [(RealSource(volumes, shape), 1.0), (LabelSource(labels, shape), 1.0)]
    dataset = PairDataset(both, length=8, seed=0)
    assert {dataset[k].subject for k in range(8)} == {"mni", name}
    assert min(float(jacobian_determinant(dataset[k].truth[None]).min()) for k in range(8)) > 0
