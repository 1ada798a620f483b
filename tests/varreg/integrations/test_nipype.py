"""The nipype interfaces run what the command line runs, and know no option that it does not know."""

from __future__ import annotations

import shutil

import nibabel
import numpy as np
import pytest

import varreg
from varreg.cli import main

from .packages import code_of, imported

interfaces = imported("nipype")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of nipype and what it imports

THREADS = {"num_threads": 1}


@pytest.mark.parametrize(
    ("interface", "command"), [(interfaces.Register, "register"), (interfaces.Apply, "apply")]
)
def test_every_option_is_one_of_the_command(interface, command):
    known = {name for option in main.commands[command].params for name in option.opts + option.secondary_opts}  # fmt: skip
    traits = interface.input_spec().traits(argstr=lambda value: value)
    used = {trait.argstr.split()[0] for trait in traits.values()} - {"%s", "--%s"}
    assert len(used) >= 5 and used <= known
    assert {"--deformable", "--no-deformable"} <= known or command == "apply"


@pytest.mark.parametrize(("deformable", "word"), [(True, "--deformable"), (False, "--no-deformable")])  # fmt: skip
def test_the_command_line(files, deformable, word):
    moving, fixed = files / "moving.nii.gz", files / "fixed.nii.gz"
    node = interfaces.Register(
        moving_image=moving, fixed_image=fixed, affine="rigid", deformable=deformable, args="--bins 32"
    )  # fmt: skip
    words = node.cmdline.split()
    assert words[:4] == ["varreg", "register", str(moving), str(fixed)]
    assert " ".join(words[4:]) == f"--affine rigid --bins 32 {word} --output registered"


def test_the_workflow_of_the_page(files, command, tmp_path, monkeypatch):
    names = {"moving": "t2", "fixed": "t1", "labels_moving": "t2-labels"}
    for name, shown in names.items():
        shutil.copy(files / f"{name}.nii.gz", tmp_path / f"{shown}.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(code_of("integrations.md", "nipype"), {"__name__": "__main__"})
    expected = varreg.solve("t2.nii.gz", "t1.nii.gz", affine="rigid", threads=1)
    folder = tmp_path / "work" / "study"
    found = varreg.load(folder / "register" / "registered")
    assert np.array_equal(found.displacement, expected.displacement)
    labels = nibabel.load(folder / "apply" / "t2-labels_warped.nii.gz")
    assert np.array_equal(np.squeeze(labels.dataobj), expected.warp_labels("t2-labels.nii.gz"))


def test_outputs_are_found(files, tmp_path, monkeypatch, registered):
    monkeypatch.chdir(tmp_path)
    registered.save("registered")
    pair = {"moving_image": files / "moving.nii.gz", "fixed_image": files / "fixed.nii.gz"}
    outputs = interfaces.Register(**pair).aggregate_outputs().get()
    folder = tmp_path / "registered"
    assert outputs == {"out_result": str(folder), "warped_image": str(folder / "warped.nii.gz")}


def test_a_refusal_reaches_the_user(files, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.nii.gz").write_text("no image")
    node = interfaces.Register(moving_image="text.nii.gz", fixed_image=files / "fixed.nii.gz")
    with pytest.raises(RuntimeError, match="(?s)MOVING is .*Return code: 1"):
        node.run()
