"""The command, the package, the benchmark."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import learned
import varreg
from learned.inference import Registrar

from .pairs import Known, blobs, shaken

command = sys.modules["learned.predict"].main
ROOT = Path(varreg.__file__).resolve().parents[1]


@pytest.fixture
def files(shipped):
    for name, seed in (("moving", 0), ("fixed", 1)):
        image = nibabel.Nifti1Image(blobs((40, 36), seed)[..., None], np.eye(4))
        nibabel.save(image, shipped / f"{name}.nii.gz")
    return shipped


def call(folder, *arguments):
    words = [folder / "moving.nii.gz", folder / "fixed.nii.gz", "--threads", 1, *arguments]
    return CliRunner().invoke(command, [str(word) for word in words])


def test_command_writes_what_predict_returns(files):
    wanted = learned.predict(
        files / "moving.nii.gz", files / "fixed.nii.gz", model="small-2d", threads=1
    )
    ended = call(files, "-o", files / "out", "--model", "small-2d")
    assert ended.exit_code == 0, ended.output
    assert "Affine (predicted)" in ended.stdout
    assert np.array_equal(varreg.load(files / "out").warped.data, wanted.warped.data)
    ended = call(
        files, "-o", files / "w.nii.gz", "--model", files / "small-2d.safetensors", "--json"
    )
    assert json.loads(ended.stdout)["model"] == "small-2d"
    stored = np.squeeze(nibabel.load(files / "w.nii.gz").get_fdata(dtype=np.float32))
    assert np.array_equal(stored, wanted.warped.data)


def test_command_refuses_to_overwrite_unless_asked(files):
    options = ["-o", files / "out", "--model", "small-2d", "-q"]
    assert call(files, *options).exit_code == 0
    before = (files / "out" / "result.json").read_bytes()
    refused = call(files, *options, "--start", "centres")
    assert refused.exit_code == 1 and "exists" in refused.stderr
    assert (files / "out" / "result.json").read_bytes() == before
    forced = call(files, *options, "--spacing", "1.5", "--force")
    assert forced.exit_code == 0 and forced.output == ""
    assert (files / "out" / "result.json").read_bytes() != before


def test_command_says_what_is_wrong_in_one_line_and_leaves_nothing(files):
    for options, words in (
        (["--model", "smal-2d"], "Did you mean"),
        (["--spacing", -1], "spacing"),
    ):
        ended = call(files, "-o", files / "none", "--model", "small-2d", *options)
        assert ended.exit_code == 1 and words in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1 and "Traceback" not in ended.output
    assert sorted(p.name for p in files.iterdir()) == [
        "fixed.nii.gz", "moving.nii.gz", "small-2d.safetensors"
    ]  # fmt: skip


def test_the_module_that_is_also_the_command_can_be_called():
    module = sys.modules["learned.predict"]
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    for function in (module, module.predict, learned.predict):
        assert function(moving, fixed, model=network).model == "unnamed"
    assert set(dir(learned)) == set(learned.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        learned.nothing  # noqa: B018


def test_without_torch_the_import_names_the_remedy():
    code = "import sys; sys.modules['torch'] = None; import learned"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert "BackendError: learned: requires torch, which is not installed" in last
    assert 'pip install "varreg[learned]"' in last


def test_benchmark_methods_have_the_harness_signature(monkeypatch):
    folder = ROOT / "examples" / "benchmarks"
    if not folder.is_dir():
        pytest.skip("examples are not part of this copy")
    names = {file.stem for file in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    monkeypatch.syspath_prepend(str(folder))
    try:
        import learned_methods

        methods = learned_methods.learned_methods(Registrar(shaken(), (32, 32)))
        moving, fixed = blobs((40, 36)), blobs((40, 36), 1)
        for name, method in methods.items():
            assert method.name == name and not method.missing
            assert method.run(fixed, moving, 1).shape == (2, 40, 36)
        assert set(methods) == {"learned", "learned+varreg"}
        times = learned_methods.learned_times(1, shape=(32, 32), repeats=1)
        assert set(times) == {"network", "predict"} and min(times.values()) > 0
        assert "not installed" in learned_methods.voxelmorph_times("no-such-python", 1)[1]
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
