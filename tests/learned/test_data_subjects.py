"""Who is in the data: manifests, folders of label maps, splits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned.data.manifest import read_manifest
from learned.data.subjects import Split, check_disjoint, label_files, split_subjects
from varreg.errors import FileError, InputError


@pytest.fixture
def manifest(tmp_path):
    """Writes entries whose images exist, and returns the path of the manifest."""
    for name in ("t1.nii", "t2.nii.gz"):
        (tmp_path / name).write_bytes(b"voxels")

    def write(entries):
        path = tmp_path / "manifest.json"
        path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        return path

    return write


GOOD = {"id": "a", "T1": "t1.nii", "T2": "t2.nii.gz"}


def test_a_manifest_gives_subjects_with_paths_beside_it(manifest):
    path = manifest([GOOD, {**GOOD, "id": "b", "FLAIR": "t1.nii"}])
    first, second = read_manifest(path)
    assert (first.id, second.id) == ("a", "b")
    assert second.contrasts == ("T1", "T2", "FLAIR")
    assert dict(first.images) == {"T1": path.parent / "t1.nii", "T2": path.parent / "t2.nii.gz"}
    with pytest.raises(AttributeError):
        first.id = "c"


@pytest.mark.parametrize(
    "entries, error, words",
    [
        ([{**GOOD, "T2": "absent.nii"}], FileError, ["entry 0", "'T2'", "absent.nii", "relative"]),
        ([{**GOOD, "flair": "t1.nii"}], InputError, ["'flair'", "Did you mean 'FLAIR'?"]),
        ([{**GOOD, "echo": "t1.nii"}], InputError, ["'echo'", "contrasts="]),
        ([GOOD, GOOD], InputError, ["'a' twice"]),
        ([{"id": "a"}], InputError, ["'a'", "no image"]),
        ([{**GOOD, "coincide": "no"}], InputError, ["'coincide'", "true, false"]),
        ([{**GOOD, "coincide": [["T1"], ["T1", "T2"]]}], InputError, ["'coincide'", "each once"]),
        ([{**GOOD, "coincide": [["T1", "PD"]]}], InputError, ["'coincide'", "PD"]),
        ([{**GOOD, "labels": "absent.nii"}], FileError, ["'labels'", "absent.nii"]),
        ([{**GOOD, "labels": {"PD": "t1.nii"}}], InputError, ["'labels'", "PD"]),
        (
            [{**GOOD, "labels": {"T1": "t1.nii", "T2": "t1.nii"}}],
            InputError,
            ["one contrast of each"],
        ),
        ([{**GOOD, "coincide": False, "labels": "t1.nii"}], InputError, ["'labels'", "('T2',)"]),
        ([{**GOOD, "id": " "}], InputError, ["'id'", "non-empty"]),
        ([["a"]], InputError, ["entry 0", "object"]),
        ([{**GOOD, "T1": 3}], InputError, ["'T1'", "path", "3"]),
        ([], InputError, ["non-empty"]),
        ({"id": "a"}, InputError, ["list of subjects", "dict"]),
        ("[", FileError, ["cannot be read", "JSON"]),
        ('[{"id": "a", "T1": "t1.nii", "T1": "t1.nii"}]', FileError, ["'T1' twice"]),
        ("[" * 200_000, FileError, ["cannot be read"]),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(manifest, entries, error, words):
    with pytest.raises(error) as caught:
        read_manifest(manifest(entries))
    assert all(word in str(caught.value) for word in ["read_manifest", *words])


@pytest.mark.parametrize(
    "coincide, groups",
    [
        ({}, [("T1", "T2", "PD")]),
        ({"coincide": True}, [("T1", "T2", "PD")]),
        ({"coincide": False}, [("T1",), ("T2",), ("PD",)]),
        ({"coincide": [["T1", "PD"]]}, [("T1", "PD"), ("T2",)]),
    ],
)
def test_a_manifest_says_which_images_coincide(manifest, coincide, groups):
    (subject,) = read_manifest(manifest([{**GOOD, "PD": "t1.nii", **coincide}]))
    parts = subject.coinciding()
    assert [part.contrasts for part in parts] == groups
    assert {part.id for part in parts} == {"a"}


def test_a_label_map_belongs_to_the_images_that_coincide_with_it(manifest):
    path = manifest(
        [
            {**GOOD, "labels": "t1.nii"},
            {**GOOD, "id": "b", "coincide": False, "labels": {"T2": "t2.nii.gz"}},
        ]
    )
    first, second = read_manifest(path)
    assert [part.labels for part in first.coinciding()] == [(("T1", path.parent / "t1.nii"),)]
    files = [part.labels for part in second.coinciding()]
    assert files == [(), (("T2", path.parent / "t2.nii.gz"),)]


def test_other_contrasts_can_be_allowed(manifest):
    path = manifest([{"id": "a", "echo 1": "t1.nii", "echo 2": "t2.nii.gz"}])
    assert read_manifest(path, ("echo 1", "echo 2"))[0].contrasts == ("echo 1", "echo 2")


def test_an_absent_manifest_is_an_error(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        read_manifest(tmp_path / "absent.json")


def test_label_files_are_the_subjects_of_a_folder(tmp_path):
    for name in ("b.nii", "a.b.nii.gz", "notes.txt", "table.npy"):
        (tmp_path / name).write_bytes(b"1")
    files = label_files(tmp_path)
    assert list(files) == ["a.b", "b"] and files["b"] == tmp_path / "b.nii"
    (tmp_path / "b.nii.gz").write_bytes(b"1")
    with pytest.raises(InputError, match="'b' as .nii and as .nii.gz"):
        label_files(tmp_path)


@pytest.mark.parametrize("name", ["absent", ""])
def test_a_folder_without_labels_is_an_error(tmp_path, name):
    with pytest.raises(FileError, match="no .nii or .nii.gz file"):
        label_files(tmp_path / name)


# --- splits -------------------------------------------------------------------------------------

names = st.sets(st.text(min_size=1, max_size=4), min_size=3, max_size=30)
shares = st.tuples(*[st.floats(0.01, 10)] * 3)


@given(names, shares, st.integers(0, 2**32))
def test_a_split_deals_every_subject_once(ids, shares, seed):
    split = split_subjects(ids, shares, seed=seed)
    parts = (split.train, split.validation, split.test)
    assert sorted(sum(parts, ())) == sorted(ids)
    assert min(map(len, parts)) >= 1
    exact = [len(ids) * share / sum(shares) for share in shares]
    if min(exact) >= 1:
        assert all(abs(len(p) - e) < 1 + 1e-9 for p, e in zip(parts, exact, strict=True))


@given(names, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_a_split_depends_on_the_seed_and_not_on_the_order(ids, seed, random):
    shuffled = list(ids)
    random.shuffle(shuffled)
    assert split_subjects(ids, seed=seed) == split_subjects(shuffled, seed=seed)


def test_other_seeds_give_other_splits():
    assert len({split_subjects(map(str, range(20)), seed=seed) for seed in range(10)}) == 10


def test_a_part_without_a_share_is_empty():
    split = split_subjects(["a", "b"], (1, 1, 0), seed=3)
    assert split.test == () and len(split.train) == len(split.validation) == 1


def test_a_subject_in_two_parts_is_refused():
    with pytest.raises(InputError, match="'b' is in 'train' and 'test'"):
        Split(("a", "b"), (), ("b",))
    with pytest.raises(InputError, match="'a' is twice in 'train'"):
        check_disjoint({"train": ["a", "a"]})
    with pytest.raises(InputError, match="'a' is twice in 'ids'"):
        split_subjects(["a", "b", "a"], seed=0)


@pytest.mark.parametrize("shares", [(1, 1), (0, 0, 0), (1, -1, 1), (1, float("nan"), 1)])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(InputError, match="`shares` must be three numbers"):
        split_subjects(["a", "b", "c"], shares, seed=0)


def test_too_few_subjects_are_refused():
    with pytest.raises(InputError, match="2 subjects for 3 parts"):
        split_subjects(["a", "b"], seed=0)
