"""Images for the programs that varreg plugs into, and how these programs are imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair

# nipype and pydra ask a server for their latest version
os.environ.setdefault("NO_ET", "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def slices():
    """A pair of slices whose true map is known."""
    return deformed_pair((64, 72), np.random.default_rng(0))


@pytest.fixture(scope="session")
def files(slices, tmp_path_factory):
    """The pair as files, and labels of the moving side."""
    folder = tmp_path_factory.mktemp("pair")
    affine = np.diag([2.0, 1.5, 1, 1])
    for name in ("moving", "fixed", "labels_moving"):
        image = nibabel.Nifti1Image(getattr(slices, name)[..., None], affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def registered(files):
    """What varreg itself says of the pair."""
    return varreg.solve(files / "moving.nii.gz", files / "fixed.nii.gz", threads=1)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A `varreg` on the path that runs the package which is tested."""
    program = tmp_path / "bin" / "varreg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom varreg.cli import main\nmain()\n")
    program.chmod(0o755)
    root = str(Path(varreg.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
