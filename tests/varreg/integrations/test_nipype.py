"""The nipype interfaces run what the command line runs, and know no option that it does not know."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

import varreg
from varreg.cli import main

from .packages import imported

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


def test_a_workflow_registers_and_applies(files, registered, command, tmp_path, monkeypatch):
    from nipype import Node, Workflow

    monkeypatch.chdir(tmp_path)  # where nipype reports crashes

    register = Node(interfaces.Register(**THREADS), name="register")
    register.inputs.moving_image = files / "moving.nii.gz"
    register.inputs.fixed_image = files / "fixed.nii.gz"
    apply = Node(interfaces.Apply(labels=True), name="apply")
    apply.inputs.in_file = files / "labels_moving.nii.gz"
    workflow = Workflow(name="study", base_dir=tmp_path)
    workflow.connect(register, "out_result", apply, "result")
    done = {node.name: node.result.outputs for node in workflow.run().nodes()}
    found = varreg.load(done["register"].out_result)
    assert np.array_equal(found.displacement, registered.displacement)
    assert done["register"].warped_image.endswith("registered/warped.nii.gz")
    labels = nibabel.load(done["apply"].out_file)
    expected = registered.warp_labels(files / "labels_moving.nii.gz")
    assert done["apply"].out_file.endswith("labels_moving_warped.nii.gz")
    assert np.array_equal(np.squeeze(labels.dataobj), expected)


def test_a_refusal_reaches_the_user(files, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.nii.gz").write_text("no image")
    node = interfaces.Register(moving_image="text.nii.gz", fixed_image=files / "fixed.nii.gz")
    with pytest.raises(RuntimeError, match="(?s)`moving` is .*Return code: 1"):
        node.run()
