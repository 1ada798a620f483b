"""Saving and loading: the same bits, whole or not at all, and damage is always a FileError."""

import copy
import json
import math
import os
import shutil

import nibabel
import numpy as np
import pytest

from varreg.errors import FileError
from varreg.geometry.grid import Grid
from varreg.images.accepted import as_pair
from varreg.images.image import Image
from varreg.io import result_folder
from varreg.optimise.check import NONE_MADE, Check
from varreg.optimise.history import Energy, HeadMotion, Iteration, Level, Stop
from varreg.options.options import Options
from varreg.results.result import Result
from varreg.transforms.transform import Transform


def make(fixed, moving, nodes, frame=None, **changes):
    """A result that no solver made, with numbers that are hard to write down."""
    dim = fixed.grid.dim
    affine = np.eye(dim + 1)
    affine[:-1] += np.random.default_rng(7).normal(0, 0.01, (dim, dim + 1))
    transform = Transform(fixed.grid, moving.grid, affine, nodes, "zero-boundary", frame)
    return Result(
        transform=transform,
        warped=Image(
            transform.warp(moving),
            fixed.grid,
            "warped",
            fixed.frame,
            fixed.volume_shape,
            fixed.slice_step,
        ),
        fixed_name="T1.nii.gz",
        moving_name="Tübingen 'T2'.nii",
        energy=Energy(0.1 + 0.2, 1 / 3, -math.pi),
        start_energy=Energy(0.5, 0.0, -0.5),
        history=tuple(
            Iteration("deformable", 1, 2.0, i, -i / 7, i / 9, 0.0, 0.1, 2, 1e-9, 0.3, math.inf)
            for i in range(5)
        ),
        levels=(Level("deformable", 1, 2.0, fixed.grid.shape, 5, 8, Stop.BUDGET, 0.01, 0.2),),
        options=Options(iterations=(5, 3), levels=(2, 1), fixed_range=(0, 1.5)),
        smallest_determinant=0.6123456789,
        overlap=0.987,
        checks=(
            Check("scales", 1 / 3, 1.3, True, "Scaled by 1/3.", "Try 'rigid'."),
            Check("volume", math.inf, 1.7, False, "It mirrors.", "Look."),
        ),
        motion=HeadMotion(1 / 7, 2.5, 0.05),
        provenance={"varreg": "0.1.0", "backend": "numba", "threads": 2, "seconds": {"all": 0.2}},
        fixed=fixed,
        moving=moving,
        **changes,
    )


def volume():
    rng = np.random.default_rng(0)
    affine = np.array([[0, 1.5, 0.1, 3], [-1.1, 0, 0, 1 / 3], [0, 0.1, 2, 9], [0, 0, 0, 1]])
    fixed = Image(rng.random((9, 8, 7), np.float32), Grid((9, 8, 7), affine))
    moving = Image(rng.random((7, 9, 8), np.float32), Grid((7, 9, 8), affine))
    return make(fixed, moving, rng.standard_normal((3, 4, 5, 3)))


def slice_of_a_volume():
    rng = np.random.default_rng(1)
    affine = np.array([[0, 1.5, 0, 3], [-1.1, 0, 0, 1 / 3], [0, 0, 2, 9], [0, 0, 0, 1]])
    images = [nibabel.Nifti1Image(rng.random((9, 8, 1), np.float32), affine) for _ in range(2)]
    moving, fixed = as_pair(*images)
    return make(fixed, moving, rng.standard_normal((2, 4, 5)), fixed.frame)


def affine_only():
    rng = np.random.default_rng(2)
    fixed, moving = (Image.from_array(rng.random((8, 9)), spacing=0.7) for _ in range(2))
    return make(fixed, moving, None)


MAKERS = [volume, slice_of_a_volume, affine_only]


@pytest.fixture
def saved(tmp_path):
    slice_of_a_volume().save(tmp_path / "out")
    return tmp_path / "out"


def same(a, b):
    return (a is None and b is None) or (np.array_equal(a, b) and a.dtype == b.dtype)


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_saved_is_loaded_bit_by_bit(maker, tmp_path):
    result = maker()
    result.save(tmp_path / "out")
    loaded = Result.load(tmp_path / "out")
    for name in ("affine", "nodes", "frame"):
        assert same(getattr(loaded.transform, name), getattr(result.transform, name)), name
    for name in ("fixed", "moving"):
        assert same(getattr(loaded.transform, name).affine, getattr(result.transform, name).affine)
        assert getattr(loaded, name) is None
    for name in ("data", "frame", "slice_step"):
        assert same(getattr(loaded.warped, name), getattr(result.warped, name)), name
    assert loaded.warped.volume_shape == result.warped.volume_shape
    for name in (
        "history levels options energy start_energy smallest_determinant overlap provenance "
        "fixed_name moving_name"
    ).split():
        assert getattr(loaded, name) == getattr(result, name), name
    assert str(loaded) == str(result)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_loaded_result_can_do_what_it_could_before(maker, tmp_path):
    result = maker()
    result.save(tmp_path / "out")
    loaded = Result.load(tmp_path / "out" / "result.json")
    image = result.moving.data
    np.testing.assert_array_equal(loaded.warp(image), result.warped.data)
    np.testing.assert_array_equal(loaded.displacement, result.displacement)
    np.testing.assert_array_equal(loaded.jacobian(), result.jacobian())
    centre = result.transform.fixed.centre
    np.testing.assert_array_equal(loaded.points(centre), result.points(centre))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "result.json").read_bytes() == (
        tmp_path / "out" / "result.json"
    ).read_bytes()


def test_the_warped_image_lies_where_the_fixed_image_lies(tmp_path):
    result = volume()
    result.save(tmp_path / "out")
    image = nibabel.load(tmp_path / "out" / "warped.nii.gz")
    np.testing.assert_allclose(image.affine, result.transform.fixed.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(image.dataobj), result.warped.data)


def test_nothing_is_replaced_unasked_and_foreign_folders_never(saved, tmp_path):
    with pytest.raises(FileError, match="overwrite"):
        volume().save(saved)
    volume().save(saved, overwrite=True)
    assert Result.load(saved).transform.fixed.dim == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    with pytest.raises(FileError):
        volume().save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize("broken", ["write_image", "write_nodes", "write_json"])
def test_an_interrupted_save_leaves_the_old_result(saved, monkeypatch, broken):
    before = {entry.name: entry.read_bytes() for entry in saved.iterdir()}

    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(result_folder, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        volume().save(saved, overwrite=True)
    assert {entry.name: entry.read_bytes() for entry in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("path", ["absent", ".", 3, "\0"])
def test_what_is_no_result_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"varreg\.load: `path` is"):
        Result.load(path)


def leaves(value, path=()):
    """Paths of every entry of nested JSON."""
    if path:
        yield path
    if not isinstance(value, (dict, list)):
        return
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(entry, (*path, key))


def changed(content, path, value):
    """A copy with one entry replaced, or deleted if value is `changed` itself."""
    content = copy.deepcopy(content)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if value is changed:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return content


def loads_or_refuses(folder):
    """Load; anything but a Result or a FileError is a failed test."""
    try:
        result = Result.load(folder)
    except FileError as error:
        assert "varreg" in str(error)
        return None
    assert np.isfinite(result.transform.affine).all()
    assert str(result)
    return result


HOSTILE = [changed, None, [], {}, "nan", "", -1, 0, 1e308, 10**400, True, [[[]]], [1e9, 1e9], 2**40]


def test_every_damaged_entry_of_the_json_is_a_file_error_or_harmless(saved):
    content = json.loads((saved / "result.json").read_text())
    paths = list(leaves(content))
    rng = np.random.default_rng(0)
    for path in paths:
        few = [HOSTILE[i] for i in rng.choice(len(HOSTILE), 3, replace=False)]
        for value in HOSTILE if path[0] == "provenance" else [changed, *few]:
            text = json.dumps(changed(content, path, value))
            (saved / "result.json").write_text(text)
            result = loads_or_refuses(saved)
            optional = path[0] == "provenance" or path in (
                ("checks",),
                ("notes",),
                ("motion",),
            )
            if value is changed and isinstance(path[-1], str) and not optional:
                assert result is None, f"{path} is missing and was not missed"


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("format",), "something", "`format` is 'something'"),
        (("version",), 2, "its version is 2, this varreg reads 1"),
        (("affine", 0, 0), None, "`affine` must be"),
        (("affine", 0, 0), 10**400, "`affine` is not an array of numbers"),
        (("fixed", "shape"), [9], "`affine`"),
        (("fixed", "shape", 0), 10, "has shape"),
        (("nodes", "shape"), [2, 2**40, 2**40], "u_nodes.nii.gz holds"),
        (("nodes", "shape"), [3, 4, 5], "do not fit a 2D image"),
        (("nodes", "sha256"), "0", "its checksum differs"),
        (("levels", 0, "stop"), "TIRED", "no known reason to stop"),
        (("options", "bins"), 1, "`options` are not valid"),
        (("options", "colour"), 1, "must have the keys"),
        (("history",), {}, "`history` is not a list"),
        (("provenance",), [], "`provenance` is not an object"),
    ],
)
def test_messages_say_what_is_wrong(saved, path, value, message):
    content = json.loads((saved / "result.json").read_text())
    (saved / "result.json").write_text(json.dumps(changed(content, path, value)))
    with pytest.raises(FileError, match=message):
        Result.load(saved)


@pytest.mark.parametrize("name", ["result.json", "warped.nii.gz", "u_nodes.nii.gz"])
def test_truncated_flipped_and_missing_files_are_file_errors_or_harmless(saved, tmp_path, name):
    whole = (saved / name).read_bytes()
    original = Result.load(saved)
    rng = np.random.default_rng(0)
    for trial in range(60):
        data = bytearray(whole)
        if trial % 2:
            data = data[: rng.integers(0, len(whole))]
        else:
            for place in rng.integers(0, len(whole), rng.integers(1, 4)):
                data[place] ^= int(rng.integers(1, 256))
        (saved / name).write_bytes(data)
        result = loads_or_refuses(saved)
        if result is not None and name != "result.json":
            assert same(result.transform.nodes, original.transform.nodes)
            assert same(result.warped.data, original.warped.data)
    (saved / name).unlink()
    with pytest.raises(FileError):
        Result.load(saved)


def test_arrays_of_another_result_are_noticed(saved, tmp_path):
    other = slice_of_a_volume()
    nodes = np.zeros_like(other.transform.nodes)
    make(other.fixed, other.moving, nodes, other.transform.frame).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "u_nodes.nii.gz", saved / "u_nodes.nii.gz")
    with pytest.raises(FileError, match=r"u_nodes\.nii\.gz is not the file that was saved"):
        Result.load(saved)


def test_deeply_nested_json_is_a_file_error(saved):
    (saved / "result.json").write_text('{"format":' + "[" * 100_000)
    with pytest.raises(FileError):
        Result.load(saved)


def test_results_of_earlier_versions_have_no_checks_and_say_so(saved):
    path = saved / "result.json"
    content = json.loads(path.read_text())
    del content["checks"], content["motion"]
    path.write_text(json.dumps(content))
    loaded = Result.load(saved)
    assert loaded.checks == loaded.warnings == ()
    assert loaded.motion is None
    assert str(loaded).splitlines()[0] == NONE_MADE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("name", ["result.json", "warped.nii.gz", "u_nodes.nii.gz"])
def test_a_pipe_is_refused_and_not_waited_for(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(FileError):
        Result.load(saved)
