"""The training: what each stage learns, what it is judged by, and that it can stop at any moment."""

import dataclasses
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import learned
from learned.affine import affine_displacement
from learned.affine_passes import affine_maps
from learned.batches import Batches
from learned.blocks import Dropout
from learned.cascade import Cascade
from learned.checkpoint import read_checkpoint
from learned.config import Config, DataConfig, OptimiserConfig, preset, with_changes
from learned.data.datasets import Pair, PairDataset
from learned.data.painted_sources import PhantomSource
from learned.data.parts import described_sources, has_motion, make_parts, training_pairs
from learned.data.random_maps import WarpRanges
from learned.distributed import Processes, choose_device, processes
from learned.interruption import TERMINATED, heed_signals
from learned.losses.known_map import EPSILON, known_map_distance
from learned.losses.mutual_information import MutualInformation
from learned.losses.smoothness import smoothness
from learned.model_file import load_weights, read_model, save_model
from learned.new_cascade import new_cascade
from learned.optimiser import keep_layout, learning_rate_factor, make_training
from learned.pictures import draw_pairs
from learned.reproducible import reproducible
from learned.run_folder import METRICS, RESUMABLE, STEPS, RunFolder, read_lines
from learned.shared_layers import SharedDropout, SharedNormalisation
from learned.spatial import view_weight, warp
from learned.stage_losses import AffineLoss, DeformableLoss, Known, objective
from learned.stages import prepare_stage
from learned.trainer import train
from learned.validation import Registered, evaluate, register, target_registration_error, value_of
from varreg.errors import DivergenceError, FileError, InputError
from varreg.options.options import Options

CPU = torch.device("cpu")
ALONE = Processes(0, 1, CPU)
TINY = [
    "model.shape=32,36", "model.at_width=1", "model.dt_width=1", "model.scales=2,1",
    "loss.deep_supervision=0.5", "data.pairs_per_epoch=5", "data.validation_pairs=2",
    "data.test_pairs=1", "optimiser.batch_size=2", "optimiser.affine_epochs=2",
    "optimiser.epochs=2", "optimiser.warm_up=1", "optimiser.schedule=cosine",
    "train.threads=1", "train.checkpoint_every=3",
]  # fmt: skip


def tiny(folder, *changes):
    return with_changes(preset("smoke"), [*TINY, f"train.output={folder}", *changes])


def run(config, **arguments):
    return train(config, progress=False, tensorboard=False, **arguments)


def images(n=2, shape=(32, 36), seed=0):
    return torch.rand(2, n, 1, *shape, generator=torch.Generator().manual_seed(seed))


def bits(folder):
    """Everything that the last checkpoint of a run holds."""
    checkpoint = read_checkpoint(RunFolder(folder).checkpoints().last)
    return checkpoint.tensors, checkpoint.content | {"config": None}, checkpoint.position


def assert_same_run(first, second):
    (tensors, content, position), (others, other_content, other_position) = (
        bits(first),
        bits(second),
    )
    assert position == other_position
    assert set(tensors) == set(others)
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    assert content == other_content
    weights, same = (read_model(RunFolder(folder).model)[0] for folder in (first, second))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert (first / STEPS).read_bytes() == (second / STEPS).read_bytes()
    lines, same_lines = (
        [{k: v for k, v in line.items() if k != "hours"} for line in read_lines(folder / METRICS)]
        for folder in (first, second)
    )
    assert lines == same_lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from start to end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, run(tiny(folder))


# --- the stages ---------------------------------------------------------------------------------


def parameters(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def step(cascade, name, config):
    loss = prepare_stage(name, cascade, config)
    training = make_training(cascade, config.optimiser, 10, torch.Generator())
    loss(*images()).total.backward()
    training.optimiser.step()


@pytest.mark.parametrize("name, trained", [("affine", "at_net"), ("deformable", "dt_nets")])
def test_a_stage_changes_its_own_networks_and_no_bit_of_the_others(name, trained):
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(2, 1))
    before = parameters(cascade)
    step(cascade, name, tiny("x"))
    after = parameters(cascade)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.startswith(trained) for key in changed)


def test_frozen_at_net_answers_as_in_evaluation_while_the_rest_trains():
    cascade = Cascade.build(shape=(32, 36), at_width=2, dt_width=1, scales=(1,))
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    moving, fixed = images()
    wanted = cascade.eval()(moving, fixed).affine
    prepare_stage("deformable", cascade, tiny("x"))
    assert torch.equal(cascade(moving, fixed).affine, wanted)
    assert cascade.dt_nets.training


def moved(scales, seed=0):
    """A cascade whose stages predict something."""
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=scales)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for net in cascade.dt_nets:
            net.flow.convolution.weight.normal_(0, 0.05, generator=generator)
    return cascade.eval()


def losses(cascade, weight):
    config = with_changes(tiny("x"), [f"loss.deep_supervision={weight}"])
    return DeformableLoss(cascade, config.loss)(*images())


def test_deep_supervision_adds_a_weighted_loss_of_the_coarse_stages_alone():
    cascade = moved((4, 2, 1))
    plain, once, twice = (losses(cascade, w) for w in (0, 1, 2))
    assert once.total != plain.total
    torch.testing.assert_close(twice.total - plain.total, 2 * (once.total - plain.total))
    assert once[1:] == plain[1:]
    alone = moved((1,))
    assert losses(alone, 3).total == losses(alone, 0).total


def test_smoothness_is_that_of_the_nodes_in_voxels_of_the_images():
    cascade = moved((2,))
    got = losses(cascade, 0).smoothness
    nodes = cascade(*images()).stages[-1]  # a node every 2 voxels, in its own voxels
    length = 0.05 * math.sqrt(32 * 36)
    torch.testing.assert_close(got, smoothness(nodes, length / 2, 4).mean(), rtol=1e-4, atol=0)


def test_the_affine_loss_does_not_see_place():
    """The solver's affine stage takes the whole image's information, also for regional options."""
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(1,)).eval()
    moving, fixed = images()
    config = with_changes(tiny("x"), ["loss.background=0"])
    got = AffineLoss(cascade, config.loss)(moving, fixed)
    wanted = MutualInformation(Options(similarity="mi"))(moving, fixed).mean()
    torch.testing.assert_close(got.similarity, wanted)
    torch.testing.assert_close(got.total, -50 * wanted)
    assert got.smoothness == got.consistency == 0


def known(size=(32, 36), distance=3.0):
    """Every voxel of a pair lies a distance away, across both axes alike."""
    truth = torch.full((2, 2, *size), distance / math.sqrt(2))
    return Known(truth, torch.ones(2, 1, *size, dtype=torch.bool))


@pytest.mark.parametrize("kind", [AffineLoss, DeformableLoss])
def test_the_known_map_adds_its_weighted_mean_distance(kind):
    """An untrained cascade leaves everything where it is, at every stage."""
    config = tiny("x")
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(2, 1)).eval()
    plain = kind(cascade, config.loss)(*images(), known())
    weighted = dataclasses.replace(config.loss, known_map=2.0)
    got = kind(cascade, weighted)(*images(), known())
    distance = math.hypot(3.0, EPSILON) - EPSILON
    half = math.hypot(3.0, 2 * EPSILON) - 2 * EPSILON  # of the stage of half the resolution
    deep = config.loss.deep_supervision * half if kind is DeformableLoss else 0
    assert plain.known_map == 0
    assert float(got.known_map.detach()) == pytest.approx(distance, rel=1e-5)
    added = float((got.total - plain.total).detach())
    assert added == pytest.approx(2 * (distance + deep), rel=1e-4)


def test_the_known_map_of_a_coarse_affine_stage_is_in_voxels_of_the_images():
    cascade = Cascade.build(shape=(64, 72), at_width=1, dt_width=1, scales=(), affine_scale=2)
    loss = AffineLoss(cascade.eval(), dataclasses.replace(tiny("x").loss, known_map=1.0))
    got = loss(*images(), known(distance=3.0)).known_map.detach()
    assert float(got) == pytest.approx(2 * (math.hypot(3.0, EPSILON) - EPSILON), rel=1e-5)


def test_distance_counts_what_is_visible_and_has_a_gradient_at_the_answer():
    truth, visible = known(size=(4, 5))
    visible[:, :, :2] = False
    displacement = truth.clone()
    displacement[:, :, :2] = 100
    displacement.requires_grad_()
    distance = known_map_distance(displacement, truth, visible)
    assert distance.tolist() == [0, 0]
    distance.sum().backward()
    assert (displacement.grad == 0).all()
    nothing = torch.zeros_like(visible)
    assert known_map_distance(displacement, truth, nothing).tolist() == [0, 0]
    with pytest.raises(InputError, match="must cover the same voxels"):
        known_map_distance(displacement, truth[..., 1:], visible)


def test_derivative_of_the_distance():
    generator = torch.Generator().manual_seed(0)
    u, truth = torch.randn(2, 2, 2, 4, 5, dtype=torch.float64, generator=generator)
    visible = torch.rand(2, 1, 4, 5, generator=generator) > 0.3
    u.requires_grad_()
    assert torch.autograd.gradcheck(lambda u: known_map_distance(u, truth, visible), u)


@pytest.mark.parametrize("passes", [1, 3])
def test_the_affine_loss_is_the_mean_over_the_passes(passes):
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(), affine_passes=passes)
    with torch.no_grad():
        cascade.at_net.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    config = tiny("x").loss
    cascade.eval()
    moving, fixed = images()
    terms = []
    for affine in affine_maps(cascade.at_net, moving, fixed, passes):
        u = affine_displacement(affine, (32, 36))
        terms.append(objective(config, Options.preset(config.estimator, similarity="mi"))(
            warp(moving, u), warp(moving, u), fixed, None, view_weight(u, (32, 36))
        ).total)  # fmt: skip
    got = AffineLoss(cascade, config)(moving, fixed).total
    torch.testing.assert_close(got, torch.stack(terms).mean())


def test_pairs_for_a_coarse_at_net_cover_the_same_field_of_view():
    config = with_changes(tiny("x"), ["model.shape=64,72", "data.shift=0.1"])
    fine, coarse = make_parts(config).train, training_pairs(config, 2)
    assert (fine.shape, coarse.shape) == ((64, 72), (32, 36))
    assert fine.subjects == coarse.subjects
    assert (fine.warp, fine.pose) == (coarse.warp, coarse.pose)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rate_rises_over_the_warm_up_and_then_follows_the_schedule(schedule):
    config = OptimiserConfig(schedule=schedule, warm_up=4)
    factors = np.array([learning_rate_factor(config, k, 20) for k in range(21)])
    assert factors[:4].tolist() == [0.25, 0.5, 0.75, 1.0]
    if schedule == "constant":
        assert (factors[4:] == 1).all()
    else:
        assert (np.diff(factors[4:]) < 0).all()
        assert factors[12] == pytest.approx(0.5)
        assert factors[20] == pytest.approx(0, abs=1e-15)
    assert learning_rate_factor(OptimiserConfig(), 0, 1) == 1


def test_moments_get_the_layout_of_their_parameters():
    layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.rand(1, 3, 5, 5)).sum().backward()
    optimiser.step()
    wanted = optimiser.state[layer.weight]["exp_avg"].clone()
    optimiser.state[layer.weight]["exp_avg"] = wanted.contiguous()
    keep_layout(optimiser)
    moment = optimiser.state[layer.weight]["exp_avg"]
    assert moment.stride() == layer.weight.stride() != wanted.contiguous().stride()
    assert torch.equal(moment, wanted)


# --- the parts ----------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match="names 'phantom-256', which no source has"):
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
    with pytest.raises(InputError, match="every source of `data` must have a subject to train on"):
        make_parts(with_changes(config, ["data.validation_subjects=head0,head1"]))


def test_strengths_reach_the_pairs():
    still = [f"data.{name}=0" for name in ("rotation", "scaling", "shear", "shift", "amplitude")]
    config = with_changes(tiny("x"), [*still, "data.intensity=0", "data.pose=0"])
    assert has_motion(DataConfig()) and not has_motion(config.data)
    dataset = make_parts(config).train
    pair = dataset[0, 0]
    assert (pair.truth == 0).all()
    assert dataset.pose.rotation == 0 and dataset.sources[0].intensities.noise == 0


# --- the judgement ------------------------------------------------------------------------------


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
        Cascade(Oracle(), (), ()), dataset, MutualInformation(Options(similarity="mi")), ALONE
    )
    assert list(table) == ["identity", "affine"]
    assert table["affine"]["tre"] < 1e-4 < 1 < table["identity"]["tre"]
    assert table["affine"]["mi"] > table["identity"]["mi"]
    assert table["affine"]["folds"] == 0
    pairs = [dataset[0, k] for k in range(3)]
    sizes = [pair.truth.norm(dim=0)[pair.visible[0]].mean().item() for pair in pairs]
    assert table["identity"]["tre"] == pytest.approx(np.mean(sizes))
    assert value_of(table, True) == table["affine"]["tre"]
    assert value_of(table, False) == -table["affine"]["mi"]


def test_error_counts_visible_voxels_only_in_any_dimension():
    for shape in ((4, 5), (4, 5, 3)):
        d = len(shape)
        u, truth = torch.zeros(1, d, *shape), torch.full((1, d, *shape), 2.0)
        visible = torch.zeros(1, 1, *shape, dtype=torch.bool)
        visible[0, 0, 1] = True
        truth[:, :, 2:] = np.nan
        got = target_registration_error(u, truth, visible)
        assert got.item() == pytest.approx(2 * math.sqrt(d))


def test_the_table_does_not_depend_on_the_number_of_processes():
    dataset = make_parts(with_changes(tiny("x"), ["data.validation_pairs=5"])).validation
    cascade, similarity = moved((2, 1)), MutualInformation(Options())
    shares = []

    class Part(Processes):
        def gather(self, value):
            shares.append(value)
            return shares

    for rank in range(3):  # what the last one gathers is complete
        table = evaluate(cascade, dataset, similarity, Part(rank, 3, CPU))
    assert table == evaluate(cascade, dataset, similarity, ALONE)


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


# --- the folder ---------------------------------------------------------------------------------


def test_a_folder_with_anything_in_it_is_refused(tmp_path, whole):
    with pytest.raises(FileError, match="is not empty; go on with the run in it by --resume"):
        run(tiny(whole[0]))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="is not empty"):
        run(tiny(tmp_path))
    with pytest.raises(FileError, match="holds files but no 'config.json'"):
        run(tiny(tmp_path), resume=True)
    with pytest.raises(FileError, match="is no folder"):
        run(tiny(tmp_path / "notes.txt"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_goes_on_only_as_what_it_was(whole):
    folder, _ = whole
    before = (folder / "config.json").read_bytes()
    for change in ("model.dt_width=2", "data.shift=0.2", "optimiser.batch_size=1", "train.seed=1"):
        with pytest.raises(InputError, match=f"has another `{change.partition('=')[0]}`"):
            run(tiny(folder, change), resume=True)
    assert (folder / "config.json").read_bytes() == before


def test_every_resumable_key_exists_and_none_is_of_the_model_or_the_loss():
    for key in RESUMABLE:
        section, _, field = key.partition(".")
        assert hasattr(getattr(Config(), section), field)
        assert section not in ("model", "loss")


def test_tables_follow_the_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), resume=False)
    for step in (1, 2, 3):
        folder.append(STEPS, {"step": step})
    folder.append(METRICS, {"part": "validation", "step": 2})
    folder.append(METRICS, {"part": "test", "step": 2})
    with open(folder.path / STEPS, "a") as stream:
        stream.write('{"step": 2, "to')
    folder.take_back(2)
    assert read_lines(folder.path / STEPS) == [{"step": 1}, {"step": 2}]
    assert folder.metrics() == [{"part": "validation", "step": 2}]
    with pytest.raises(ValueError, match="JSON"):
        folder.append(METRICS, {"step": math.nan})


# --- the run ------------------------------------------------------------------------------------


def test_a_run_leaves_what_it_promises(whole):
    folder, trained = whole
    assert {entry.name for entry in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "training.jsonl", "pictures", "checkpoints",
        "model.safetensors",
    }  # fmt: skip
    assert RunFolder(folder).config() == tiny(folder)
    steps = read_lines(folder / STEPS)
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["stage"] for line in steps] == ["affine"] * 4 + ["deformable"] * 4
    assert [line["learning_rate"] for line in steps[:2]] == [1e-3, 1e-3]
    lines = read_lines(folder / METRICS)
    assert [line["part"] for line in lines] == ["validation"] * 4 + ["test"]
    assert [list(line["figures"])[-1] for line in lines[1:3]] == ["affine", "stage 2"]
    assert len(list((folder / "pictures").iterdir())) == 4
    best = min(lines[:4], key=lambda line: list(line["figures"].values())[-1]["tre"])
    assert trained.validation == best["figures"]
    assert trained.test == lines[-1]["figures"]


def test_the_exported_weights_are_the_best_and_their_card_describes_them(whole):
    folder, trained = whole
    weights, card = read_model(trained.model)
    best = read_checkpoint(RunFolder(folder).checkpoints().best)
    assert all(torch.equal(best.tensors[f"model/{name}"], weights[name]) for name in weights)
    cascade = Cascade.build(**card["architecture"])
    load_weights(cascade, weights)
    config = tiny(folder)
    with reproducible(1, CPU):
        pairs = make_parts(config).validation
        table = evaluate(cascade, pairs, MutualInformation(Options()), ALONE)
        assert list(table.values())[-1]["tre"] == pytest.approx(best.position.best, rel=1e-5)
    training = card["training"]
    assert training["figures"] == {"validation": trained.validation, "test": trained.test}
    assert training["config"]["train"]["output"] == folder.name
    assert training["data"][0]["source"] == "phantom"
    assert training["hours"] > 0
    assert card["licences"]


def test_a_finished_run_that_is_resumed_stays_as_it_is(whole):
    folder, trained = whole
    before = bits(folder), (folder / STEPS).read_bytes()
    assert run(tiny(folder), resume=True) == trained
    after = bits(folder), (folder / STEPS).read_bytes()
    assert after[1] == before[1]
    assert after[0][2] == before[0][2]


def test_the_settings_of_torch_come_back(tmp_path):
    torch.set_num_threads(2)
    drawn = torch.get_rng_state()
    with reproducible(1, CPU):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)


def test_who_prepares_the_pairs_does_not_matter(whole, tmp_path):
    run(tiny(tmp_path / "run", "data.workers=1"))
    assert_same_run(whole[0], tmp_path / "run")


class Crash(BaseException):
    """Nothing may catch it: the process is gone."""


def crash_at_write(monkeypatch, number):
    """The process dies just before a checkpoint, the best one or another, reaches the disk."""
    from learned import checkpoint_folder

    write, count = checkpoint_folder.write_whole, iter(range(10**6))

    def crashing(path, data):
        if next(count) == number:
            raise Crash
        write(path, data)

    monkeypatch.setattr(checkpoint_folder, "write_whole", crashing)


WRITES = range(1, 12)  # the whole run has at least as many


@pytest.mark.parametrize(
    "number", [n if n == 6 else pytest.param(n, marks=pytest.mark.slow) for n in WRITES]
)
def test_a_crash_at_any_checkpoint_leaves_no_trace(number, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_at_write(patch, number)
        try:
            run(tiny(tmp_path / "run"))
        except Crash:
            pass
        else:
            assert number > 8
    run(tiny(tmp_path / "run"), resume=True)
    assert_same_run(whole[0], tmp_path / "run")


def patched_loss(monkeypatch, kind, number, action):
    """Do something to the losses of one step of a stage."""
    forward, count = kind.forward, iter(range(10**6))

    def patched(self, *batch):
        losses = forward(self, *batch)
        return action(losses) if next(count) == number else losses

    monkeypatch.setattr(kind, "forward", patched)


@pytest.mark.parametrize(
    "kind, number", [pytest.param(AffineLoss, 0, marks=pytest.mark.slow), (DeformableLoss, 2)]
)
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(
    kind, number, whole, tmp_path, monkeypatch
):
    def interrupt(losses):
        signal.raise_signal(signal.SIGINT)
        return losses

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patched_loss(patch, kind, number, interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"go on by: .* --output .*run --resume"):
            run(tiny(folder))
    assert bits(folder)[2].step == number + (1 if kind is AffineLoss else 5)
    run(tiny(folder), resume=True)
    assert_same_run(whole[0], folder)


def not_a_number(losses):
    return losses._replace(total=losses.total * math.nan)


def infinite_slope(losses):
    zero = 0 * losses.total
    return losses._replace(total=losses.total + zero.abs().sqrt())


@pytest.mark.parametrize("action", [not_a_number, infinite_slope])
def test_a_loss_that_is_not_finite_names_place_and_subjects(action, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    patched_loss(monkeypatch, DeformableLoss, 3, action)
    with pytest.raises(DivergenceError) as caught:
        run(tiny(folder))
    words = str(caught.value)
    batch = [make_parts(tiny(folder)).train[3, k].subject for k in (2, 3)]
    assert f"stage 'deformable', epoch 2, step 8, with the subjects {', '.join(batch)}." in words
    assert "the last checkpoint is step-000000000006.safetensors" in words
    tensors, _, position = bits(folder)
    assert position.step == 6
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_a_stage_ends_when_nothing_gets_better_and_the_best_is_kept(tmp_path, monkeypatch):
    values = iter(range(100))
    monkeypatch.setattr("learned.training_run.value_of", lambda table, truth: float(next(values)))
    folder = tmp_path / "run"
    changes = ["train.patience=2", "optimiser.affine_epochs=9", "optimiser.epochs=9"]
    trained = run(tiny(folder, *changes))
    places = [(line["stage"], line["epoch"]) for line in read_lines(folder / METRICS)[:-1]]
    assert places == [("affine", k) for k in (1, 2, 3)] + [("deformable", k) for k in (1, 2)]
    weights, card = read_model(trained.model)
    assert (card["training"]["stage"], card["training"]["epoch"]) == ("affine", 1)
    assert (weights["dt_nets.0.flow.convolution.weight"] == 0).all()


def test_without_motion_there_is_no_truth_and_mutual_information_judges(tmp_path):
    still = [f"data.{name}=0" for name in ("rotation", "scaling", "shear", "shift", "amplitude")]
    run(tiny(tmp_path / "run", *still, "optimiser.affine_epochs=1", "optimiser.epochs=0"))
    line = read_lines(tmp_path / "run" / METRICS)[0]
    assert bits(tmp_path / "run")[2].best == -line["figures"]["affine"]["mi"]


def test_half_precision_is_for_networks_and_losses_stay_whole(tmp_path):
    once = ["optimiser.affine_epochs=0", "optimiser.epochs=1", "train.precision=bfloat16"]
    run(tiny(tmp_path / "run", *once))
    weights, _ = read_model(tmp_path / "run" / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float32, torch.int64}
    halves = read_lines(tmp_path / "run" / STEPS)
    run(tiny(tmp_path / "other", *once[:2]))
    wholes = read_lines(tmp_path / "other" / STEPS)
    assert halves[0]["total"] == wholes[0]["total"]  # the first prediction is 0 in any precision
    assert halves[1]["total"] == pytest.approx(wholes[1]["total"], rel=1e-2)
    assert halves[1]["total"] != wholes[1]["total"]


@pytest.mark.parametrize(
    "change, words",
    [
        ("optimiser.batch_size=6", "must be at most `data.pairs_per_epoch`, 5; got 6"),
        ("data.source=labels", "`data.labels` must be a path"),
        ("train.devices=cuda:63", "asks for 'cuda:63', and there are"),
        ("train.devices=cpu,cuda", "names 2 devices for one process; start it with `torchrun"),
        ("train.devices=mps", "has no double precision"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        run(tiny(tmp_path / "run", change))


def test_a_known_map_needs_motion(tmp_path):
    still = [f"data.{n}=0" for n in ("rotation", "scaling", "shear", "shift", "amplitude")]
    with pytest.raises(InputError, match="known_map` needs pairs made by random maps"):
        run(tiny(tmp_path / "run", *still, "loss.known_map=1"))


def test_a_coarse_at_net_trains_on_coarse_pairs_and_judges_on_whole_ones(tmp_path):
    coarse = ["model.shape=64,72", "model.affine_scale=2", "model.affine_passes=2"]
    trained = run(tiny(tmp_path / "run", *coarse, "loss.known_map=1"))
    assert trained.validation["affine"] != trained.validation["identity"]
    lines = read_lines(tmp_path / "run" / STEPS)
    assert all(line["known_map"] > 0 for line in lines)


def test_at_net_may_come_from_another_run(whole, tmp_path):
    given = [f"train.affine_from={whole[1].model}", "optimiser.affine_epochs=0", "train.seed=3"]
    trained = run(tiny(tmp_path / "run", *given, "model.scales=1"))
    first, second = (read_model(model)[0] for model in (whole[1].model, trained.model))
    at_net = [name for name in first if name.startswith("at_net.")]
    assert at_net
    assert all(torch.equal(first[name], second[name]) for name in at_net)
    cards = [read_model(model)[1] for model in (whole[1].model, trained.model)]
    assert cards[0]["affine_training"] is None
    assert cards[1]["affine_training"] == cards[0]["training"]


def dt_net(tensors, place):
    prefix = f"dt_nets.{place}."
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def same_tensors(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def test_stages_may_begin_with_those_of_another_run(whole, tmp_path):
    config = tiny(tmp_path / "x", "model.scales=4,2,1", f"train.stages_from={whole[1].model}")
    theirs = read_model(whole[1].model)[0]  # of the scales 2 and 1
    new = new_cascade(config, torch.Generator().manual_seed(5), ALONE).state_dict()
    assert same_tensors(dt_net(new, 1), dt_net(theirs, 0))
    assert same_tensors(dt_net(new, 2), dt_net(theirs, 1))
    coarsest = new_cascade(config, torch.Generator().manual_seed(5), ALONE).dt_nets[0]
    assert float(coarsest.flow.convolution.weight.detach().abs().max()) == 0
    finest = with_changes(config, ["model.scales=1", "model.shared=true"])
    shared = new_cascade(finest, torch.Generator().manual_seed(5), ALONE).state_dict()
    assert same_tensors(dt_net(shared, 0), dt_net(theirs, 1))


def test_a_stage_that_begins_anew_leaves_the_map_as_it_was(tmp_path):
    """So more scales begin where fewer ended."""
    theirs, file = new_cascade(tiny("x"), torch.Generator(), ALONE), tmp_path / "x.safetensors"
    with torch.no_grad():
        for net in theirs.dt_nets:
            net.flow.convolution.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    architecture = {"scales": [2, 1], "shared": False}
    save_model(file, theirs, {"architecture": architecture, "training": {}, "licences": []})
    two, three = (
        tiny("x", f"model.scales={n}", f"train.stages_from={file}", f"train.affine_from={file}")
        for n in ("2,1", "4,2,1")
    )
    moving, fixed = images(2, (32, 36))
    with torch.no_grad():
        first, second = (
            new_cascade(config, torch.Generator().manual_seed(seed), ALONE).eval()(moving, fixed)
            for seed, config in enumerate((two, three))
        )
    assert float(first.displacement.abs().max()) > 0
    assert torch.allclose(first.total, second.total, atol=1e-5)


def test_the_card_says_what_the_stages_began_with(whole, tmp_path):
    models = [whole[1].model]
    for name in ("second", "third"):
        given = [f"train.stages_from={models[-1]}", "optimiser.epochs=1"]
        models.append(run(tiny(tmp_path / name, *given)).model)
    cards = [read_model(model)[1] for model in models]
    assert cards[0]["stages_training"] == []
    assert cards[2]["stages_training"] == [cards[0]["training"], cards[1]["training"]]
    assert cards[1]["training"]["config"]["train"]["stages_from"] == Path(whole[1].model).name


def test_stages_of_another_width_are_refused(whole, tmp_path):
    given = [f"train.stages_from={whole[1].model}", "model.dt_width=2"]
    with pytest.raises(InputError, match="stages_from.*do not fit.*dt_width"):
        run(tiny(tmp_path / "run", *given))


def test_an_at_net_of_another_size_is_refused(whole, tmp_path):
    given = [f"train.affine_from={whole[1].model}", "model.at_width=2"]
    with pytest.raises(InputError, match="affine_from.*does not fit.*at_width"):
        run(tiny(tmp_path / "run", *given))


def test_nothing_to_train_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nothing is to be trained"):
        run(tiny(tmp_path / "run", "optimiser.affine_epochs=0", "optimiser.epochs=0"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["train.stages_from=absent"],
        ["train.affine_from=absent"],
        ["data.source=manifest", "data.manifest=absent"],
        ["data.source=labels"],
    ],
)
def test_what_is_refused_leaves_no_folder(tmp_path, wrong):
    """The corrected command would otherwise be refused for it."""
    config = tiny(tmp_path / "run", *wrong)
    with pytest.raises((InputError, FileError)):
        run(config)
    assert not (tmp_path / "run").exists()


def test_volumes_train_too(tmp_path):
    shape = ["model.dimension=3", "model.shape=32,32,32", "model.scales=2", "data.test_pairs=0"]
    few = ["data.pairs_per_epoch=1", "data.validation_pairs=1", "optimiser.batch_size=1"]
    once = ["optimiser.affine_epochs=1", "optimiser.epochs=1"]
    trained = run(tiny(tmp_path / "run", *shape, *few, *once))
    assert list(trained.validation)[0] == "identity"
    assert trained.test is None


# --- signals and processes ----------------------------------------------------------------------


def test_the_first_signal_waits_and_the_second_does_not():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with heed_signals() as interruption:
        signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt, match="second"):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as caught:
            interruption.end("")
        assert caught.value.code == TERMINATED == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


PREPARING = """
from learned.interruption import ignore_interrupts
ignore_interrupts()
print("ready", flush=True)
print("still there after", input())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_those_alone_who_prepare_data(number):
    """A scheduler terminates the whole group; the checkpoint is still to be written."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    home = Path(learned.__file__).parents[1]  # where the package is found
    process = subprocess.Popen([sys.executable, "-c", PREPARING], cwd=home, **pipes)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, _ = process.communicate("the signal\n", timeout=60)
        assert said == "still there after the signal\n"
    finally:
        process.kill()
        process.wait()


def test_a_process_takes_the_device_of_its_local_rank():
    assert choose_device(["cpu"], local=3, count=4) == CPU
    if not torch.cuda.is_available():
        assert choose_device(["auto"], local=1, count=2) == CPU


def test_the_environment_must_be_that_of_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE must be a whole number"), processes(["cpu"]):
        pass


def test_processes_take_equal_shares_of_every_batch():
    config = with_changes(tiny("x"), ["data.pairs_per_epoch=14", "optimiser.batch_size=4"])
    pairs = make_parts(config).train
    whole = [batch.moving for batch in Batches(config, pairs, ALONE).of_epoch(3, 1)]
    shares = [
        [batch.moving for batch in Batches(config, pairs, Processes(k, 2, CPU)).of_epoch(3, 1)]
        for k in range(2)
    ]
    assert len(whole) == 2  # of three full batches the first is left out
    for all_of_it, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(all_of_it, torch.cat(parts))
    with pytest.raises(InputError, match="3 must divide it; got 4"):
        Batches(config, pairs, Processes(0, 3, CPU))


def test_shared_masks_are_the_parts_of_the_mask_of_one_process():
    values = torch.ones(4, 3, 5, 5)
    whole = Dropout(0.4, torch.Generator().manual_seed(1))(values)
    parts = [
        SharedDropout(0.4, torch.Generator().manual_seed(1), Processes(k, 2, CPU))(values[:2])
        for k in range(2)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert 0 < (whole == 0).float().mean() < 1


@pytest.mark.parametrize("d", [2, 3])
def test_shared_normalisation_of_one_process_is_batch_normalisation(d):
    generator = torch.Generator().manual_seed(d)
    plain = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[d](3)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 2, generator=generator)
        plain.bias.uniform_(-1, 1, generator=generator)
    other = SharedNormalisation({2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[d](3), 1)
    other.load_state_dict(plain.state_dict())
    values = 5 + torch.randn(2, 3, *(4, 5, 3)[:d], generator=generator)
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        results = []
        for layer in (plain, other):
            given = values.clone().requires_grad_(True)
            out = layer(given)
            (out * torch.linspace(0, 1, out.numel()).reshape(out.shape)).sum().backward()
            results.append((out, given.grad, layer.weight.grad, layer.bias.grad))
    finally:
        torch.distributed.destroy_process_group()
    for mine, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], buffer)
    torch.testing.assert_close(plain.eval()(values), other.eval()(values))
