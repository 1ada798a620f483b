"""Images in files."""

from __future__ import annotations

import numpy as np
import pytest

from varreg.data.phantom.pairs import deformed_pair

from .calls import FEW, call, save


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A small pair, its labels and one registration of it."""
    folder = tmp_path_factory.mktemp("files")
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    save(folder / "fixed.nii.gz", pair.fixed[..., None])
    save(folder / "moving.nii.gz", pair.moving[..., None])
    save(folder / "labels.nii.gz", pair.labels_moving[..., None])
    made = call(
        "register", folder / "moving.nii.gz", folder / "fixed.nii.gz", "-o", folder / "result", *FEW
    )
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def pair(files):
    return files / "moving.nii.gz", files / "fixed.nii.gz"
