"""Pairs of different people, of unaligned images and of an atlas, and what is learned from them."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from learned.cascade import Cascade
from learned.config import preset, with_changes
from learned.data.datasets import PairDataset
from learned.data.manifest import CONTRASTS, read_manifest
from learned.data.painted_sources import LabelSource
from learned.data.parts import make_parts, training_pairs
from learned.data.random_fields import seeded_generator
from learned.data.random_maps import WarpRanges
from learned.data.sources import RealSource
from learned.data.volumes import Volume
from learned.losses.supervised import Known, label_dice, labelled
from learned.run_folder import STEPS, read_lines
from learned.stages import AffineLoss, DeformableLoss, DescentLoss
from learned.train import train
from varreg.errors import InputError

STILL = WarpRanges(0, (1, 1), 0, 0, 0)
SHAPE = (16, 18, 20)


def ball(radius, shape=SHAPE, shift=0.0):
    """Labels 3 around 2, of a person of that size."""
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    distance = np.sqrt((x - shift) ** 2 + y**2 + z**2)
    return (np.select([distance < radius / 2, distance < radius], [2, 3])).astype(np.int16)


def person(name, radius, images=1, labels=True):
    painted = np.stack([ball(radius) * (0.3 - 0.05 * k) for k in range(images)])
    contrasts = ("T1", "T2", "PD")[:images]
    return Volume(name, contrasts, painted.astype(np.float32), ball(radius) if labels else None)


def scenes(source, count=24):
    return [source.draw(seeded_generator(0, k)) for k in range(count)]


# --- who meets whom -----------------------------------------------------------------------------


def test_two_people_meet_as_often_as_is_asked_for():
    people = [person("a", 5, 2), person("b", 6, 2), person("c", 7)]
    names = [scene.subject for scene in scenes(RealSource(people, SHAPE, people=1.0))]
    assert all(len(set(name.split(" -> "))) == 2 for name in names) and len(set(names)) == 6
    mixed = RealSource(people, SHAPE, people=0.5)
    for scene in scenes(mixed):
        assert scene.coincide == ("->" not in scene.subject)
        assert scene.subject != "c"  # it has one image, and no other to coincide with
    assert mixed.coincide == {True, False}


def test_an_atlas_is_always_the_moving_image_and_nobody_else():
    people = [person("a", 5), person("atlas", 7), person("b", 6)]
    source = RealSource(people, SHAPE, people=1.0, atlas="atlas")
    assert source.subjects == ("a", "b")
    assert {scene.subject for scene in scenes(source)} == {"atlas -> a", "atlas -> b"}
    labels = LabelSource({v.subject: v.labels for v in people}, SHAPE, people=1.0, atlas="atlas")
    assert {scene.subject for scene in scenes(labels)} == {"atlas -> a", "atlas -> b"}


def test_images_of_one_person_coincide_only_within_a_volume():
    first, second = person("a", 5, 2), person("a", 7)
    source = RealSource([first, second], SHAPE)
    kinds = {}
    for scene in scenes(source, 40):
        sizes = [int((image > 0).sum()) for image in (scene.moving, scene.fixed)]
        kinds.setdefault(scene.coincide, set()).add(tuple(sizes))
        assert scene.subject == "a"
    small, large = int((ball(5) > 0).sum()), int((ball(7) > 0).sum())
    assert kinds == {True: {(small, small)}, False: {(small, large), (large, small)}}
    assert source.coincide == {True, False}
    assert RealSource([person("a", 5), person("a", 7)], SHAPE).coincide == {False}


def test_slices_of_two_people_are_from_the_same_height():
    """Between the ends of the head, the same share of slices lies below."""
    low, high = (np.zeros((24, 24, 30), np.float32) for _ in range(2))
    low[4:20, 4:20, 2:12], high[4:20, 4:20, 10:30] = (
        np.linspace(0.1, 1, 10), np.linspace(0.1, 1, 20),
    )  # fmt: skip
    people = [Volume("low", ("T1",), low[None]), Volume("high", ("T1",), high[None])]
    for scene in scenes(RealSource(people, (24, 24), people=1.0)):
        assert scene.moving.max() == pytest.approx(float(scene.fixed.max()), abs=0.06)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RealSource([person("a", 5)], SHAPE), "'a' of `volumes` has 1 contrast"),
        (lambda: RealSource([person("a", 5)], SHAPE, people=1.0), "'a' is the only subject"),
        (lambda: LabelSource({"a": ball(5)}, SHAPE, people=0.5), "'a' is the only subject"),
        (lambda: RealSource([person("a", 5)], SHAPE, people=1.0, atlas="a"), "no subjects"),
        (lambda: RealSource([person("a", 5), person("b", 5)], SHAPE, people=0.5), "`data.people`"),
    ],
)
def test_pairs_that_cannot_be_drawn_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


# --- labels -------------------------------------------------------------------------------------


def pairs_of(people, warp=STILL, **more):
    source = RealSource(people, SHAPE, people=1.0, **more)
    return PairDataset([(source, 1.0)], length=8, seed=0, warp=warp, labels=True)


def test_labels_go_where_their_images_go():
    """The images are painted by label, so that a voxel's intensity says what its label must be."""
    dataset = pairs_of([person("a", 5), person("b", 7)], WarpRanges(shift=0.1))
    dataset.sources[0].intensities = type(dataset.sources[0].intensities)(
        gamma=0, inversion=0, blur=(0, 0), bias=0, noise=0
    )
    for k in range(4):
        pair = dataset[k]
        assert not pair.known
        for image, labels in ((pair.moving, pair.moving_labels), (pair.fixed, pair.fixed_labels)):
            assert labels.dtype == torch.uint8 and labels.shape == (1, *SHAPE)
            assert set(labels.unique().tolist()) == {0, 1, 2}  # 2 and 3, numbered
            middle = [image[labels == number].median() for number in (0, 1, 2)]
            assert middle[0] < middle[1] < middle[2]


def test_without_labels_a_pair_has_nothing_to_overlap():
    dataset = pairs_of([person("a", 5), person("b", 7, labels=False)])
    pair = dataset[0]
    assert not pair.moving_labels.any() and not pair.fixed_labels.any()
    assert not labelled(pair.moving_labels[None], pair.fixed_labels[None]).any()
    assert dataset.has_labels
    plain = PairDataset(dataset_sources(dataset), length=8, seed=0, warp=STILL)
    assert plain[0].moving_labels.numel() == 0
    assert torch.equal(plain[0].moving, pair.moving)  # labels change nothing else


def dataset_sources(dataset):
    return [(source, 1.0) for source in dataset.sources]


def dice_by_definition(u, moving, fixed):
    """Mean Dice of the labels that both maps have, nearest voxels, 0 outside."""
    positions = np.indices(u.shape[1:]) + np.rint(u)
    inside = np.all([(p >= 0) & (p < n) for p, n in zip(positions, u.shape[1:], strict=True)], 0)
    where = tuple(
        np.clip(p, 0, n - 1).astype(int) for p, n in zip(positions, u.shape[1:], strict=True)
    )
    moved = np.where(inside, moving[where], 0)
    names = (set(np.unique(moving)) & set(np.unique(fixed))) - {0}
    return np.mean(
        [
            2 * ((moved == k) & (fixed == k)).sum() / ((moved == k).sum() + (fixed == k).sum())
            for k in names
        ]
    )


@pytest.mark.parametrize("shape", [(9, 11), (6, 7, 8)], ids=["2D", "3D"])
def test_overlap_is_that_of_the_definition(shape):
    rng = np.random.default_rng(0)
    moving, fixed = rng.integers(0, 6, (2, 3, 1, *shape)).astype(np.uint8)
    fixed[1][fixed[1] == 4] = 0  # a structure that one of the two lacks does not count
    u = np.rint(rng.normal(0, 2, (3, len(shape), *shape)))
    got = label_dice(*map(torch.from_numpy, (u, moving, fixed)))
    wanted = [dice_by_definition(u[k], moving[k, 0], fixed[k, 0]) for k in range(3)]
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_linear_interpolation_of_indicators_gives_the_same():
    """Sum over all labels of the warped indicator image, as it is usually written."""
    from learned.spatial import view_weight, warp

    generator = torch.Generator().manual_seed(0)
    moving, fixed = torch.randint(0, 4, (2, 2, 1, 7, 9), generator=generator, dtype=torch.uint8)
    u = torch.randn(2, 2, 7, 9, generator=generator)
    parts = []
    for k in (1, 2, 3):
        m = warp((moving == k).float(), u) * view_weight(u, (7, 9))
        f = (fixed == k).float()
        parts.append(2 * (f * m).flatten(1).sum(1) / (f + m).flatten(1).sum(1))
    torch.testing.assert_close(
        label_dice(u, moving, fixed), torch.stack(parts).mean(0), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 4)], ids=["2D", "3D"])
def test_derivative_of_the_overlap(shape):
    generator = torch.Generator().manual_seed(0)
    moving, fixed = torch.randint(0, 3, (2, 2, 1, *shape), generator=generator, dtype=torch.uint8)
    u = 0.3 + 0.2 * torch.rand(2, len(shape), *shape, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda u: label_dice(u, moving, fixed), u.requires_grad_())


def test_descent_of_the_overlap_alone_finds_a_shift():
    moving, fixed = (
        torch.from_numpy(ball(6, shift=s).astype(np.uint8))[None, None] for s in (1.0, -1.0)
    )
    shift = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        (1 - label_dice(shift.expand(1, 3, *SHAPE), moving, fixed)).sum().backward()
        optimiser.step()
    np.testing.assert_allclose(shift.detach().flatten(), [2, 0, 0], atol=0.15)


def test_nothing_in_common_teaches_nothing_and_bad_maps_are_refused():
    u = torch.zeros(1, 2, 4, 4, requires_grad=True)
    one = torch.ones(1, 1, 4, 4, dtype=torch.uint8)
    label_dice(u, one, 2 * one).sum().backward()
    assert label_dice(u, one, 2 * one).tolist() == [1] and not u.grad.any()
    with pytest.raises(InputError, match="`fixed` must be uint8"):
        label_dice(u, one, one.float())
    with pytest.raises(InputError, match="`moving` must be uint8 of shape"):
        label_dice(u, one[..., 1:], one)
    assert torch.isnan(label_dice(u.detach() + torch.nan, one, one)).all()


# --- losses of mixed batches --------------------------------------------------------------------


def network(kind, shape=(32, 36)):
    options = {"network": "descent", "zero_mean": False} if kind is DescentLoss else {}
    cascade = Cascade.build(
        shape=shape, at_width=1, dt_width=1, scales=() if kind is AffineLoss else (1,), **options
    ).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for net in cascade.dt_nets:
            net.flow.convolution.weight.normal_(0, 0.05, generator=generator)
    return cascade


@pytest.mark.parametrize("kind", [AffineLoss, DeformableLoss, DescentLoss])
def test_each_pair_of_a_batch_has_the_terms_that_are_known_of_it(kind):
    """The loss of a batch is the mean of what it is of each pair alone; an unknown truth is not looked at."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 4, 1, 32, 36, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 1, 32, 36), generator=generator, dtype=torch.uint8)
    labels[:, 1] = labels[0, 2] = 0
    truth = torch.randn(4, 2, 32, 36, generator=generator)
    visible = torch.ones(4, 1, 32, 36)
    mapped = torch.tensor([True, True, False, False])
    config = with_changes(
        preset("smoke"),
        ["loss.known_map=2", "loss.dice=3", "loss.consistency=0", "loss.estimator=cfir"],
    ).loss
    loss = kind(network(kind), config)

    def of(k, known_map=True):
        part = slice(k, k + 1)
        # every second pair of a batch of DescentLoss begins elsewhere; with an inert AT-Net it does not show
        known = Known(
            truth[part], visible[part], mapped[part] if known_map else None,
            (labels[0][part], labels[1][part]),
        )  # fmt: skip
        return loss(images[0][part], images[1][part], known)

    together = loss(*images, Known(truth, visible, mapped, (labels[0], labels[1])))
    each = [of(k) for k in range(4)]
    torch.testing.assert_close(together.total, torch.stack([x.total for x in each]).mean())
    told = torch.stack([each[k].known_map for k in (0, 1)]).mean()
    torch.testing.assert_close(together.known_map, told)
    torch.testing.assert_close(together.dice, torch.stack([each[k].dice for k in (0, 3)]).mean())
    assert of(2).total != of(2, known_map=False).total  # the truth of an unknown pair would count
    other = loss(
        *images,
        Known(truth + 5 * ~mapped.view(-1, 1, 1, 1), visible, mapped, (labels[0], labels[1])),
    )
    assert other.total == together.total


# --- whole runs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A manifest of four people with labels, one of them with images that do not coincide."""
    folder = tmp_path_factory.mktemp("lab")
    rng = np.random.default_rng(0)
    entries = []
    for number, radius in enumerate((9, 10, 11, 12)):
        labels = ball(radius, (32, 32, 32))
        for contrast, table in {"t1": (0, 1, 0.4, 0.8), "t2": (0, 1, 0.9, 0.3)}.items():
            image = np.asarray(table)[labels] + 0.01 * rng.standard_normal(labels.shape)
            nib.save(
                nib.Nifti1Image(image.astype(np.float32), np.eye(4)),
                folder / f"{number}{contrast}.nii",
            )
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / f"{number}seg.nii")
        entry = {"id": f"p{number}", "T1": f"{number}t1.nii", "T2": f"{number}t2.nii"}
        entries.append({**entry, "labels": f"{number}seg.nii"})
    entries[0] |= {"coincide": False, "labels": {"T1": "0seg.nii"}}
    path = folder / "manifest.json"
    path.write_text(json.dumps(entries))
    return path


def settings(lab, output, *changes):
    return with_changes(
        preset("laptop"),
        [
            "data.source=manifest", f"data.manifest={lab}", "data.spacing=1", "data.people=1",
            "data.validation_subjects=p2,p3", "data.test_pairs=0", "data.validation_pairs=2",
            "data.pairs_per_epoch=4", "model.dimension=3", "model.shape=32,32,32", "model.dt_width=2",
            "model.scales=2,1", "model.iterations=1,1", "optimiser.batch_size=2", "optimiser.epochs=1",
            "optimiser.warm_up=0", f"train.output={output}", "loss.known_map=0",
            "loss.mutual_information=1", "loss.smoothness=0.1", "data.rotation=5", *changes,
        ],
    )  # fmt: skip


def test_people_with_labels_train_and_are_judged_by_their_overlap(lab, tmp_path):
    trained = train(
        settings(lab, tmp_path / "run", "loss.dice=1"), progress=False, tensorboard=False
    )
    first, last = (trained.validation[row] for row in ("identity", "stage 2"))
    assert all("tre" not in row and 0 < row["dice"] < 1 for row in (first, last))
    lines = read_lines(tmp_path / "run" / STEPS)
    assert all(0 <= line["dice"] < 1 and line["known_map"] == 0 for line in lines)


def test_a_mixed_training_knows_some_maps_and_not_others(lab):
    changes = ["data.people=0.5", "loss.known_map=1", "loss.dice=1", "data.pairs_per_epoch=24"]
    dataset = training_pairs(settings(lab, "x", *changes))
    kinds = {
        (bool(pair.known), "->" in pair.subject) for pair in map(dataset.__getitem__, range(24))
    }
    assert kinds == {
        (True, False),
        (False, True),
        (False, False),
    }  # the last: p0's images do not coincide


def test_an_atlas_is_in_every_part_and_in_no_split(lab):
    parts = make_parts(settings(lab, "x", "data.atlas=p1", "data.validation_subjects=p2"))
    assert parts.train.subjects == ("p0", "p3") and parts.validation.subjects == ("p2",)
    assert parts.validation[0].subject == "p1 -> p2"
    with pytest.raises(
        InputError, match="'nobody', which is not a subject of `data.manifest`; its subjects are p0"
    ):
        make_parts(settings(lab, "x", "data.atlas=nobody"))


def test_who_judges_alone_is_paired_with_nobody(lab):
    parts = make_parts(settings(lab, "x", "data.validation_subjects=p3"))
    assert parts.validation.subjects == ("p3",)
    assert parts.validation[0].subject == "p3"
    assert " -> " in parts.train[0].subject


@pytest.mark.parametrize(
    "changes, words",
    [
        (["loss.known_map=1"], "no two images coincide"),
        (["data.people=0.5", "loss.known_map=1", "loss.mutual_information=0", "loss.smoothness=0"],
         "`loss.known_map` is the only term"),
        (["data.people=0", "data.atlas=p0"], "`data.people` must be above 0"),
        (["data.source=phantom"], "`data.people` must be 0 unless"),
    ],
)  # fmt: skip
def test_a_training_that_cannot_learn_from_its_pairs_is_refused(lab, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        train(settings(lab, tmp_path / "run", *changes), progress=False, tensorboard=False)
    assert not (tmp_path / "run").exists()


def test_labels_of_another_place_are_refused(lab, tmp_path):
    far = np.eye(4)
    far[:3, 3] = 500
    nib.save(nib.Nifti1Image(ball(9, (32, 32, 32)), far), lab.parent / "far.nii")
    entries = json.loads(lab.read_text())
    entries[1]["labels"] = "far.nii"
    (lab.parent / "wrong.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match="subject 'p1'.*no label in view of"):
        make_parts(settings(lab.parent / "wrong.json", "x"))


# --- the page -----------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parents[2] / "docs" / "manifest.md"


def test_the_manifest_of_the_page_can_be_read(tmp_path):
    block = re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    for name in re.findall(r'"([^"]+nii.gz)"', block):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"voxels")
    (tmp_path / "manifest.json").write_text(block)
    subjects = read_manifest(tmp_path / "manifest.json")
    assert [len(subject.coinciding()) for subject in subjects] == [1, 2, 1]
    assert [bool(subject.labels) for subject in subjects] == [False, False, True]


def test_the_page_names_every_contrast_and_keys_that_there_are():
    text = PAGE.read_text()
    assert all(f"`{contrast}`" in text for contrast in CONTRASTS)
    given = re.findall(r"--([a-z]+\.[a-z_]+)=([^\s`]+)", text)
    config = with_changes(preset("laptop"), [f"{key}={value}" for key, value in given])
    assert len(given) > 15 and config.data.people > 0
