"""The template of bent heads is the head; it does not matter with whom one begins, nor how often one is interrupted."""

import json

import numpy as np
import pytest

import varreg
from varreg.geometry.grid import Grid
from varreg.jobs.engine import Engine
from varreg.options.options import Options
from varreg.template import executor, registration
from varreg.template.people import Person

from .group import ROUNDS, SHAPE, group

QUICK = dict(rounds=ROUNDS, threads=1, progress=False)


def alike(one, other):
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


@pytest.fixture(scope="module")
def people():
    return group()


@pytest.fixture(scope="module")
def template(people):
    _, images, labels = people
    return varreg.build_template(images, labels=labels, **QUICK)


def test_the_template_is_the_head_that_all_are_bent_from(people, template):
    head, images, _ = people
    before = max(alike(image, head.t1) for image in images)
    assert alike(template.image.data, head.t1) > 0.99 > before
    assert template.image.grid.shape == SHAPE


def test_rounds_say_how_it_became_sharp_and_still(template):
    first, *_, last = template.rounds
    assert last.dice > first.dice + 0.1 and last.sharpness > first.sharpness
    assert np.mean(last.likeness) > np.mean(first.likeness)
    assert last.moved < 0.5 and 0.5 < last.distance < 3


def test_the_mean_of_its_maps_is_the_identity(template):
    mean = np.mean([each.displacement for each in template.transforms], axis=0)
    assert np.abs(mean).max() < 0.1  # rotations differ a little, so that not all means are one
    assert max(np.abs(each.displacement).max() for each in template.transforms) > 2


def test_the_first_person_does_not_matter(people, template):
    other = varreg.build_template(people[1], first=2, **QUICK)
    assert alike(other.image.data, template.image.data) > 0.995


def test_what_is_printed_begins_with_what_could_be_wrong(template):
    lines = str(template).splitlines()
    assert lines[0].startswith("Checks: ")
    assert "Dice between people" in lines[-2] and "mean is the identity" in lines[-1]


def test_somebody_of_another_kind_is_named(people):
    odd = np.random.default_rng(5).random(SHAPE).astype(np.float32)
    images = [*people[1], odd]
    found = varreg.build_template(
        images, names=["a", "b", "c", "d", "odd"], rounds=["rigid"], threads=1, progress=False
    )
    assert any("odd (" in str(check) for check in found.warnings if check.name == "people")


def test_an_interrupted_run_goes_on_to_the_same_bits(people, template, tmp_path, monkeypatch):
    images, solve, calls = people[1], registration.solve, []

    def killed(*arguments, **settings):
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(None)
        return solve(*arguments, **settings)

    monkeypatch.setattr(registration, "solve", killed)
    with pytest.raises(KeyboardInterrupt):
        varreg.build_template(images, state=tmp_path / "state", **QUICK)
    done = []

    def counted(*arguments, **settings):
        done.append(None)
        return solve(*arguments, **settings)

    monkeypatch.setattr(registration, "solve", counted)
    again = varreg.build_template(images, state=tmp_path / "state", **QUICK)
    assert len(done) == 3 + 4 + 4 - 5
    np.testing.assert_array_equal(again.image.data, template.image.data)
    for one, other in zip(again.transforms, template.transforms, strict=True):
        np.testing.assert_array_equal(one.displacement, other.displacement)


def test_other_options_are_computed_anew_in_the_same_state(people, tmp_path):
    quick = dict(rounds=["rigid"], threads=1, progress=False, state=tmp_path)
    one = varreg.build_template(people[1], **quick)
    other = varreg.build_template(people[1], affine_iterations=2, **quick)
    assert not np.array_equal(one.transforms[1].affine, other.transforms[1].affine)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_the_options_say_holds_in_every_round_of_volumes(number):
    said = Options(iterations=(3, 2), levels=(2.0, 1.0), regularity="smooth")
    grid = Grid.with_spacing((96, 96, 96))
    assert registration.round_options(said, grid, ROUNDS, number) == said


@pytest.mark.parametrize("engine", [Engine(processes=2, threads=1), Engine(parallel=3, threads=1)])
def test_parallel_jobs_give_the_same_bits(people, engine):
    quick = dict(rounds=["rigid"], progress=False)
    one = varreg.build_template(people[1], threads=1, **quick)
    other = varreg.build_template(people[1], engine=engine, **quick)
    np.testing.assert_array_equal(one.image.data, other.image.data)


@pytest.mark.parametrize(
    ("shape", "free", "parallel"),
    [((64, 64, 64), 64.0, 3), ((256, 256, 256), 8.0, 2), ((256, 256, 256), 1.0, 1), ((64, 64), 64.0, 1)],
)  # fmt: skip
def test_participants_are_parallel_if_they_are_volumes_and_memory_suffices(
    monkeypatch, shape, free, parallel
):
    """Three people on seven threads: 256^3 voxels require 3.7 GiB for each."""
    monkeypatch.setattr(executor, "free_gibibytes", lambda: free)
    grid = Grid.with_spacing(shape)
    person = Person("one", ("t1",), None, None, grid, None, (), "")
    engine = executor.default_engine([person] * 3, 7, None)
    assert (engine.parallel, engine.threads) == (parallel, 7 // parallel)


def test_a_lesion_that_is_masked_leaves_no_mark(people):
    head, images, _ = people
    marked = [image.copy() for image in images]
    masks = [np.ones(SHAPE, bool) for _ in images]
    for k in (0, 1):
        marked[k][28:36, 28:36] = 3.0
        masks[k][26:38, 26:38] = False
    quick = dict(rounds=["rigid"], average="mean", threads=1, progress=False, normalise=False)
    with_masks = varreg.build_template(marked, masks=masks, **quick)
    without = varreg.build_template(marked, **quick)
    assert with_masks.image.data[30:34, 30:34].max() < 1.2 < without.image.data[30:34, 30:34].max()


def test_several_contrasts_share_their_maps(people):
    head, images, _ = people
    both = [[image, 1.2 - image] for image in images]
    found = varreg.build_template(both, rounds=("rigid", "deformable"), threads=1, progress=False)
    assert len(found.images) == 2
    assert alike(found.images[0].data, found.images[1].data) < -0.95


def test_a_saved_template_is_read_back(people, template, tmp_path):
    template.save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"template.nii.gz", "shown.nii.gz", "maps", "template.json"}
    content = json.loads((tmp_path / "out" / "template.json").read_text())
    assert len(content["rounds"]) == 3 and content["people"] == list(template.names)
    file = tmp_path / "out" / "maps" / f"{template.names[1]}.nii.gz"
    kept = varreg.read_transform(file, template.image, people[1][1])
    wanted = template.transforms[1].displacement
    assert np.abs(kept.displacement - wanted).max() < 0.01
    with pytest.raises(varreg.FileError, match="exists"):
        template.save(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(images="t1.nii.gz"), "`images` must be a list"),
        (dict(images=[np.eye(8)]), "a mean needs at least two people"),
        (dict(images=[[np.eye(8), np.eye(8)], np.eye(8)]), "1 and 2 contrasts"),
        (dict(images=[np.eye(8), np.eye(8)[None] * np.ones((8, 1, 1))]), "must be of one dimension"),
        (dict(masks=[None]), "`masks` must be a list with one for each of the 2 people"),
        (dict(names=["a", "a"]), "`names` must differ"),
        (dict(names=["a"]), "`names` has 1 names for 2 people"),
        (dict(rounds=["deformable"]), "begin with one of translation"),
        (dict(rounds=["linear"]), "`rounds` must be one of"),
        (dict(rounds="rigid"), "`rounds` must be a list"),
        (dict(average="mode"), "`average` must be one of"),
        (dict(first=2), "from 0 to 1; got 2"),
        (dict(normalise="no"), "`normalise` must be True or False"),
        (dict(labels=[np.eye(8) + 0.5, np.eye(8)]), "whole numbers"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(arguments, sentence):
    x, y = np.mgrid[:8, :8]
    given = {"images": [np.eye(8), 1.0 * x * y], "progress": False, **arguments}
    with pytest.raises(varreg.VarregError, match=sentence):
        varreg.build_template(given.pop("images"), **given)


def test_people_who_cannot_be_registered_are_named(people, monkeypatch):
    solve = registration.solve

    def failing(moving, fixed, **settings):
        if np.array_equal(moving[0].data, people[1][2]):
            raise varreg.OverlapError("varreg.solve: they do not overlap.")
        return solve(moving, fixed, **settings)

    monkeypatch.setattr(registration, "solve", failing)
    with pytest.raises(
        varreg.VarregError, match="1 of 3 people cannot be registered. person 3: .*overlap"
    ):
        varreg.build_template(people[1], rounds=["rigid"], threads=1, progress=False)  # fmt: skip
