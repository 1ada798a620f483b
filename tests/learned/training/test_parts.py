"""Which subjects train, validate and test; what a training is judged by."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from learned.cascade import Cascade
from learned.config import ModelConfig, with_changes
from learned.data.datasets import Pair, PairDataset
from learned.data.painted_sources import PhantomSource
from learned.data.parts import described_sources, make_parts
from learned.data.random_maps import WarpRanges
from learned.losses.mutual_information import MutualInformation
from learned.reports import draw_pairs
from learned.validation import Registered, evaluate, register, target_registration_error, value_of
from varreg.errors import InputError
from varreg.options.options import Options

from .runs import CPU, moved, tiny


def test_no_subject_is_in_two_parts():
    parts = make_parts(tiny("x"))
    names = [set(part.subjects) for part in parts]
    assert all(names)
    assert sum(map(len, names)) == len(set.union(*names)) == 256
    assert [len(part) for part in parts] == [5, 2, 1]


def test_the_parts_that_judge_are_the_same_for_every_seed():
    first, other = (make_parts(with_changes(tiny("x"), [f"train.seed={s}"])) for s in (0, 1))
    assert torch.equal(first.validation[0, 0].fixed, other.validation[0, 0].fixed)
    assert not torch.equal(first.train[0, 0].fixed, other.train[0, 0].fixed)


def test_named_subjects_validate_and_all_others_train():
    parts = make_parts(with_changes(tiny("x"), ["data.validation_subjects=phantom-3,phantom-70"]))
    assert parts.validation.subjects == ("phantom-3", "phantom-70")
    assert len(parts.train.subjects) == 254
    assert parts.test is None
    with pytest.raises(
        InputError, match="contains 'phantom-256', which is not a subject of any source"
    ):
        make_parts(with_changes(tiny("x"), ["data.validation_subjects=phantom-256"]))


@pytest.fixture
def heads(tmp_path):
    """Four heads as label maps, of which two also have images."""
    import nibabel

    folder = tmp_path / "maps"
    folder.mkdir()
    entries = []
    for number in range(4):
        labels = np.zeros((40, 40, 40), np.int16)
        labels[6:34, 6:34, 6:34], labels[14:26, 14:26, 14:30] = 3, 2
        nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), folder / f"head{number}.nii")
        if number < 2:
            for name in ("T1", "T2"):
                data = labels.astype(np.float32) + (name == "T2") * (labels == 2) * 3
                nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / f"{name}{number}.nii")
            images = {name: f"{name}{number}.nii" for name in ("T1", "T2")}
            entries.append({"id": f"head{number}", **images})
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    return [
        "data.source=mixed", "data.phantom_share=1", "data.labels_share=1", "data.manifest_share=2",
        f"data.labels={folder}", f"data.manifest={tmp_path / 'manifest.json'}",
    ]  # fmt: skip


def test_label_map_and_images_of_a_head_are_one_subject(heads):
    config = with_changes(tiny("x"), [*heads, "data.validation_subjects=head1,head2"])
    parts = make_parts(config)
    assert set(parts.validation.subjects) >= {"head1", "head2"}
    train = [source.subjects for source in parts.train.sources]
    assert train[1:] == [("head0", "head3"), ("head0",)]
    assert not set(parts.train.subjects) & set(parts.validation.subjects)
    described = described_sources(config, parts)
    assert [entry["share"] for entry in described] == [0.25, 0.25, 0.5]
    assert described[1]["name"] == "maps"
    assert "/" not in json.dumps(described)
    with pytest.raises(InputError, match="every source of `data` must have a subject for training"):
        make_parts(with_changes(config, ["data.validation_subjects=head0,head1"]))


def test_strengths_reach_the_pairs():
    still = [f"data.{name}=0" for name in ("rotation", "scaling", "shear", "shift", "amplitude")]
    config = with_changes(tiny("x"), [*still, "data.intensity=0", "data.pose=0"])
    dataset = make_parts(config).train
    pair = dataset[0, 0]
    assert (pair.truth == 0).all() and not pair.known
    assert dataset.known == {False} and make_parts(tiny("x")).train.known == {True}
    assert dataset.pose.rotation == 0 and dataset.sources[0].intensities.noise == 0


def test_an_oracle_has_no_error_and_its_row_is_the_best():
    """With the truth as its answer the affine row ends at 0, and identity is the size of the truth."""
    still = WarpRanges(amplitude=0.0)
    dataset = PairDataset([(PhantomSource(range(2), (40, 44)), 1.0)], length=3, seed=1, warp=still)

    class Oracle(nn.Module):
        dimension = 2

        def forward(self, pair):
            return truths[float(pair.sum())]

    truths = {}
    for k in range(3):
        p = dataset[0, k]
        truths[float(torch.cat((p.moving[None], p.fixed[None]), 1).sum())] = p.affine[None]
    table = evaluate(
        Cascade(Oracle(), (), ModelConfig(scales=())),
        dataset,
        MutualInformation(Options(similarity="mi")),
    )
    assert list(table) == ["identity", "affine"]
    assert table["affine"]["tre"] < 1e-4 < 1 < table["identity"]["tre"]
    assert table["affine"]["mi"] > table["identity"]["mi"]
    assert table["affine"]["folds"] == 0
    pairs = [dataset[0, k] for k in range(3)]
    sizes = [pair.truth.norm(dim=0)[pair.visible[0]].mean().item() for pair in pairs]
    assert table["identity"]["tre"] == pytest.approx(np.mean(sizes))
    assert value_of(table) == table["affine"]["tre"]
    unknown = {"affine": {"mi": 0.5, "folds": 0.0}}
    assert value_of(unknown) == -0.5
    assert value_of({"affine": {"dice": 0.75, **unknown["affine"]}}) == -0.75


def test_error_counts_visible_voxels_only_in_any_dimension():
    for shape in ((4, 5), (4, 5, 3)):
        d = len(shape)
        u, truth = torch.zeros(1, d, *shape), torch.full((1, d, *shape), 2.0)
        visible = torch.zeros(1, 1, *shape, dtype=torch.bool)
        visible[0, 0, 1] = True
        truth[:, :, 2:] = np.nan
        got = target_registration_error(u, truth, visible)
        assert got.item() == pytest.approx(2 * math.sqrt(d))


def test_the_table_does_not_depend_on_the_number_of_processes(monkeypatch):
    dataset = make_parts(with_changes(tiny("x"), ["data.validation_pairs=5"])).validation
    cascade, similarity = moved((2, 1)), MutualInformation(Options())
    wanted = evaluate(cascade, dataset, similarity)
    shares = []

    def gather(fabric, value):
        shares.append(value)
        return shares

    monkeypatch.setattr("learned.validation.gather", gather)
    for rank in range(3):  # what the last one gathers is complete
        part = SimpleNamespace(global_rank=rank, world_size=3, device=CPU)
        table = evaluate(cascade, dataset, similarity, part)
    assert table == wanted


def test_rows_are_the_maps_after_each_stage_and_modes_come_back():
    cascade = moved((2, 1)).train()
    pair = make_parts(tiny("x")).validation[0, 0]
    registered = register(cascade, pair, CPU)
    assert cascade.training
    with torch.no_grad():
        prediction = cascade.eval()(pair.moving[None], pair.fixed[None])
    assert list(registered.maps) == ["identity", "affine", "stage 1", "stage 2"]
    torch.testing.assert_close(registered.maps["stage 2"], prediction.total[0])
    assert torch.equal(registered.warped, prediction.warped[0])
    assert not torch.equal(registered.maps["stage 1"], registered.maps["stage 2"])


def test_pictures_leave_pyplot_alone(tmp_path):
    import matplotlib.pyplot

    before = matplotlib.pyplot.get_fignums()
    pair = make_parts(tiny("x")).validation[0, 0]
    registered = register(moved((1,)), pair, CPU)
    figure = draw_pairs([registered, registered], "two pairs", tmp_path / "pairs.png")
    assert matplotlib.pyplot.get_fignums() == before
    assert (tmp_path / "pairs.png").read_bytes()[1:4] == b"PNG"
    assert len(figure.axes[0].images) == 2 * 5
    words = [text.get_text() for text in figure.axes[0].texts]
    assert any(pair.subject in text and "voxels" in text for text in words)


def test_pictures_of_volumes():
    shape = (32, 33, 34)
    image, u = torch.rand(1, *shape), torch.zeros(3, *shape)
    pair = Pair(image, image, u, torch.eye(3, 4), torch.ones(1, *shape, dtype=torch.bool), "v")
    figure = draw_pairs([Registered(pair, {"identity": u, "affine": u + 1}, image)], "a volume")
    drawn = figure.axes[0].images[0].get_array()
    assert np.array_equal(drawn, image[0, :, :, 17].numpy())
