"""A study of a few pairs."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from varreg.data.phantom.pairs import deformed_pair

from .tables import fail_if_asked


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Three pairs of small slices, a mask, a picture that is no image, and a table."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "t2").mkdir()
    for number in range(3):
        pair = deformed_pair((48 + 4 * number, 52), np.random.default_rng(number))
        for array, path in ((pair.moving, f"t2/{number}.nii.gz"), (pair.fixed, f"t1-{number}.nii")):
            nib.Nifti1Image(array[..., None], np.eye(4)).to_filename(folder / path)
        mask = (pair.fixed > 0)[..., None].astype(np.uint8)
        nib.Nifti1Image(mask, np.eye(4)).to_filename(folder / f"head-{number}.nii.gz")
    (folder / "broken.nii").write_text("not an image")
    lines = ["moving,fixed", *(f"t2/{number}.nii.gz,t1-{number}.nii" for number in range(3))]
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def table(study):
    """Writes a table beside the images."""
    made = []

    def write(text, name="table.csv", encoding="utf-8"):
        made.append(study / name)
        made[-1].write_bytes(text.encode(encoding))
        return made[-1]

    yield write
    for path in made:
        path.unlink()


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr("varreg.batch.batch._results", fail_if_asked)
