"""Damaged results are refused or harmless."""

import copy
import json
import os
import shutil

import numpy as np
import pytest

from varreg.errors import FileError
from varreg.io.records import LATER_OPTIONS
from varreg.optimise.check import NONE_MADE
from varreg.results.result import Result

from .results import make, same, slice_of_a_volume


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
                ("energy", "volume"),  # earlier versions had no such term
                ("start_energy", "volume"),
                ("energy", "points"),
                ("start_energy", "points"),
                ("options", "points_weight"),
                ("energy", "rigidity"),
                ("start_energy", "rigidity"),
                ("options", "rigidity_weight"),
                *(("options", name) for name in LATER_OPTIONS),  # nor these options
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
