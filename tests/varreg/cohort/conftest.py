"""A small cohort that has been registered once, from the command line."""

import os
import shutil
import sys

import pytest
from click.testing import CliRunner

#: Options that end quickly.
FEW = ("--levels", "2", "--iterations", "3", "--affine-iterations", "5", "--threads", "1")


def program(name):
    """Where a program is, also beside this Python; the test is skipped without it."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed ('varreg[cohorts]')")
    return found


def content(file):
    """The bytes of a file; of HDF5, which notes when it was written, those of what it holds."""
    if file.suffix != ".h5":
        return file.read_bytes()
    h5py, held = pytest.importorskip("h5py"), {}

    def keep(name, node):
        if isinstance(node, h5py.Dataset):
            values = node[()]  # texts are objects, whose bytes are addresses
            held[name] = values.tolist() if values.dtype.kind == "O" else values.tobytes()

    with h5py.File(file) as opened:
        opened.visititems(keep)
    assert held
    return held


@pytest.fixture(scope="session")
def app():
    """Calls ``varreg bids`` and the like; the exit code and both streams come back."""
    pytest.importorskip("ancpbids", reason="'varreg[bids]' is not installed")
    pytest.importorskip("SimpleITK", reason="'varreg[bids]' is not installed")
    from varreg.cli import main

    return lambda *arguments: CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="session")
def people(app, tmp_path_factory):
    """(BIDS folder, template) of three people; the third has no T1w image."""
    from varreg.data.phantom.cohort import bids_dataset

    folder = tmp_path_factory.mktemp("people") / "bids"
    template = bids_dataset(folder, people=3)
    for ending in (".nii.gz", ".json"):
        (folder / "sub-03" / "anat" / f"sub-03_T1w{ending}").unlink()
    return folder, template


@pytest.fixture(scope="session")
def registered(app, people, tmp_path_factory):
    """(folder of derivatives, how the command ended)."""
    output = tmp_path_factory.mktemp("made") / "varreg"
    folder, template = people
    return output, app(
        "bids", folder, output, "participant", "--to", template, "--contrast", "T2w", *FEW
    )
