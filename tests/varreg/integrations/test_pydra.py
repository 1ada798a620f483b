"""The pydra tasks give what varreg gives, once for the same content of the files."""

from __future__ import annotations

import shutil

import nibabel
import numpy as np
import pytest

import varreg

from .packages import code_of, imported

tasks = imported("pydra")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of pydra and what it imports


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """Runs a registration of a pair in one cache."""
    cache = tmp_path_factory.mktemp("cache")

    def run(folder=files, **settings):
        task = tasks.register(
            moving=folder / "moving.nii.gz",
            fixed=folder / "fixed.nii.gz",
            settings={"threads": 1, **settings},
            cache_dir=cache,
        )
        return task().output

    return run


def test_a_task_registers(run, registered):
    found = run()
    result = varreg.load(found.result)
    assert np.array_equal(result.displacement, registered.displacement)
    assert str(found.warped).endswith("registered/warped.nii.gz")


def test_the_same_files_elsewhere_are_not_registered_again(run, files, tmp_path):
    shutil.copytree(files, tmp_path / "copy")
    assert str(run(tmp_path / "copy").result) == str(run().result)
    assert str(run(deformable=False).result) != str(run().result)


@pytest.mark.parametrize("labels", [False, True])
def test_another_image_is_brought_over(run, files, registered, tmp_path, labels):
    image = files / ("labels_moving.nii.gz" if labels else "moving.nii.gz")
    task = tasks.apply(result=run().result, image=image, labels=labels, cache_dir=tmp_path)
    written = np.squeeze(nibabel.load(str(task().output.warped)).dataobj)
    expected = registered.warp_labels(image) if labels else registered.warp(image)
    assert np.array_equal(written, expected, equal_nan=True)
    assert written.dtype.kind == ("u" if labels else "f")


def test_the_lines_of_the_page(files, tmp_path, monkeypatch):
    for name, shown in {"moving": "t2", "fixed": "t1", "labels_moving": "t2-labels"}.items():
        shutil.copy(files / f"{name}.nii.gz", tmp_path / f"{shown}.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(code_of("integrations.md", "pydra"), namespace := {"__name__": "__main__"})
    expected = varreg.solve("t2.nii.gz", "t1.nii.gz", affine="rigid")
    written = np.squeeze(nibabel.load(str(namespace["labels"])).dataobj)
    assert np.array_equal(written, expected.warp_labels("t2-labels.nii.gz"))
