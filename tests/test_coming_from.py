"""docs/coming-from.md is true: each section runs with the tool it is about, and the two agree."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import varreg
from varreg.options.names import AFFINE_MODELS
from varreg.options.options import Options

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found[1]: found for found in SECTION.finditer(TEXT)}

#: Section -> packages that it imports.
TOOLS = {
    "ANTs": ("ants", "pandas"),
    "elastix": ("itk", "SimpleITK"),
    "SimpleITK": ("SimpleITK",),
    "VoxelMorph": ("torch", "neurite", "voxelmorph"),
}

#: What is checked after a section, besides its own assertions: what its words say of the tool.
CHECKS = {
    "ANTs": """
import inspect
known = inspect.signature(ants.registration).parameters
for name in ("initial_transform", "aff_metric", "syn_metric", "aff_sampling", "syn_sampling",
             "aff_random_sampling_rate", "reg_iterations", "aff_iterations", "aff_shrink_factors",
             "aff_smoothing_sigmas", "flow_sigma", "total_sigma", "grad_step", "mask", "moving_mask",
             "mask_all_stages", "write_composite_transform"):
    assert name in known, name
defaults = {name: known[name].default for name in known}
assert defaults["reg_iterations"] == (40, 20, 0) and defaults["grad_step"] == 0.2
assert (defaults["flow_sigma"], defaults["total_sigma"]) == (3, 0)
assert defaults["aff_sampling"] == defaults["syn_sampling"] == 32
assert defaults["aff_random_sampling_rate"] == 0.2
assert "random_seed" not in known and "kwargs" in known
said = inspect.getsource(ants.registration)
assert said.count("random_seed") == said.count("ants.config._random_seed")
assert [name.split("_")[-1] for name in forward] == ["1Warp.nii.gz", "0GenericAffine.mat"]
assert np.linalg.norm(theirs.displacement, axis=0).mean() > 1
""",
    "elastix": """
maps = [dict(parameters.GetDefaultParameterMap(name, 3, 20.0)) for name in ("affine", "bspline")]
for name in ("FinalBSplineInterpolationOrder", "NumberOfResolutions", "MaximumNumberOfIterations",
             "NumberOfSpatialSamples", "NewSamplesEveryIteration", "DefaultPixelValue"):
    assert name in maps[0] and name in maps[1], name
assert list(maps[1]["Metric"]) == ["AdvancedMattesMutualInformation", "TransformBendingEnergyPenalty"]
assert list(maps[0]["NumberOfResolutions"]) == ["3"] and "Metric1Weight" in maps[1]
assert list(maps[0]["MaximumNumberOfIterations"]) == ["256"]
assert "FinalGridSpacingInPhysicalUnits" in maps[1]
with open("TransformParameters.1.txt") as stream:
    assert 'InitialTransformParameterFileName "' in (said := stream.read())
    assert "TransformParameters.0.txt" in said
found.SetParameter("FinalBSplineInterpolationOrder", "1")
itk.imwrite(itk.transformix_deformation_field(moving, found), "deformationField.nii.gz")
field = varreg.read_transform("deformationField.nii.gz", "t1.nii.gz", "t2.nii.gz")
assert np.allclose(field.displacement, theirs.displacement, atol=1e-4)
assert np.linalg.norm(theirs.displacement, axis=0).mean() > 1
""",
    "SimpleITK": """
for name in re.findall(r"\\b(Set\\w+)", WORDS):
    assert hasattr(sitk.ImageRegistrationMethod, name), name
for name in re.findall(r"\\b((?!Set)\\w+(?:Transform|Initializer))\\b", WORDS):
    assert hasattr(sitk, name), name
assert np.allclose(varreg.read_transform("found.h5", "t1.nii.gz", "t2.nii.gz").displacement,
                   theirs.displacement, atol=1e-5)
sitk.WriteTransform(found, "found.tfm")
assert np.allclose(varreg.read_transform("found.tfm", "t1.nii.gz", "t2.nii.gz").displacement,
                   theirs.displacement, atol=1e-5)
affine, spline = (found.GetNthTransform(k) for k in (0, 1))  # what was added last comes first
ordered = varreg.read_transform([spline, affine], "t1.nii.gz", "t2.nii.gz")
assert np.allclose(ordered.displacement, theirs.displacement, atol=1e-5)
share = array(sitk.Resample(sitk.ReadImage("t2-labels.nii.gz"), sitk.ReadImage("t1.nii.gz"), found,
                            sitk.sitkLabelLinear))
assert np.mean(theirs.warp_labels("t2-labels.nii.gz") == share) > 0.999
assert np.linalg.norm(theirs.displacement, axis=0).mean() > 1
""",
    "VoxelMorph": """
shift = torch.tensor([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])
point = torch.zeros(1, 1, 32, 32)
point[0, 0, 16, 16] = 1
by_matrix = vxm.nn.functional.spatial_transform(point, shift)[0, 0]
assert by_matrix[19, 16] == 1  # the image goes with the matrix ...
ahead = torch.zeros(1, 2, 32, 32)
ahead[:, 0] = 3
by_field = vxm.nn.functional.spatial_transform(point, ahead)[0, 0]
assert by_field[13, 16] > 0.999  # ... and against the field, which leads fixed -> moving
nearer = likeness(target, target).mean() > likeness(target, source).mean()
assert nearer
assert field.shape == (1, 2, 64, 96) and field.abs().mean() > 0.02
assert np.allclose(varreg.solve(affine.warped, "t1-slice.nii.gz", start=field[0].numpy(),
                                iterations=1).start.energy.total,
                   varreg.solve(affine.warped, "t1-slice.nii.gz", start=alone,
                                iterations=1).start.energy.total)
""",
}
#: Tools that take seconds to load or to register.
SLOW = ("elastix", "ANTs", "SimpleITK", "VoxelMorph")
SHARED = """
assert refined.energy.total <= refined.start.energy.total
assert refined.smallest_determinant > 0
"""


def script(name: str) -> str:
    """The blocks of "Example data" and of a section, on the lines on which they stand."""
    kept = [found.span() for found in (SECTIONS["Example data"], SECTIONS[name])]
    lines = [""] * TEXT.count("\n")
    for found in FENCE.finditer(TEXT):
        if any(first <= found.start() < last for first, last in kept):
            line = TEXT.count("\n", 0, found.start(1))
            block = found[1].splitlines()
            lines[line : line + len(block)] = block
    words = re.search(r"^### Terms of.*?\n(.*?)^### ", SECTIONS[name][2], re.MULTILINE | re.DOTALL)
    return "\n".join([*lines, "import re", f"WORDS = {words[1]!r}", CHECKS[name], SHARED])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in TOOLS]
)
def test_a_section_runs_with_its_tool(name, tmp_path):
    for package in TOOLS[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extras `peers` and `baselines`)")
    # a process for each: these tools bring copies of ITK that share none
    (tmp_path / "section.py").write_text(script(name), encoding="utf-8")
    paths = [str(Path(varreg.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "section.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert "Convergence does not prove correctness" in done.stdout  # the certificate was printed


def blocks(name: str) -> list[str]:
    return [found[1] for found in FENCE.finditer(SECTIONS[name][2])]


def test_our_side_runs_without_the_other_tools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    theirs, ours = blocks("ANTs")[:2]
    assert "import ants" in theirs and "import" not in ours.replace("import varreg", "")
    for block in (*blocks("Example data"), ours):
        exec(compile(block, str(PAGE), "exec"), namespace)
    error = np.linalg.norm(_in_fixed_voxels(namespace), axis=0)[namespace["pair"].mask]
    assert error.mean() < 0.5  # the headers, of other directions, were heeded
    moved = namespace["our_moved"]
    assert moved.shape == (1, 3) and namespace["our_back"].shape == (48, 48, 36)


def _in_fixed_voxels(namespace):
    """What is left between the map found and the known one, voxels."""
    result, pair = namespace["result"], namespace["pair"]
    moving = result.transform.moving_coordinates()
    moving[0] = 47 - moving[0]  # the T2 is stored the other way round
    return moving - np.indices((48, 48, 36)) - pair.displacement


@pytest.mark.parametrize("name", TOOLS)
def test_the_options_in_the_tables_exist(name):
    known = {*inspect.signature(varreg.solve).parameters, *Options.__dataclass_fields__}
    known |= set(inspect.signature(varreg.Transform.warp).parameters)
    rows = re.findall(r"^\|(.+?)\|(.+?)\|(.*)\|$", SECTIONS[name][2], re.MULTILINE)
    ours = " ".join(row[1] for row in rows)
    named = re.findall(r"`(\w+)=([^`]*)`", ours)
    assert len(named) >= 3
    for option, value in named:
        assert option in known, option
        if value and option in Options.__dataclass_fields__:
            Options().replace(**{option: eval(value)})
        if value and option == "affine":
            assert eval(value) in AFFINE_MODELS
    assert Options().decided(3).iterations == (12, 10, 32)
    assert Options().affine_iterations == 40 and Options().largest_step == 1


def test_every_tool_has_all_tasks():
    for name in TOOLS:
        titles = re.findall(r"^### (.+)$", SECTIONS[name][2], re.MULTILINE)
        assert len(titles) == 5 and titles[0] == f"Terms of {name}", titles
        # theirs, ours; their map; our map; theirs, ours
        assert len(blocks(name)) == 6
        text = "\n".join(blocks(name))
        for call in ("read_transform(", "certify(", "start=theirs", "fixed_mask=", "t1-slice"):
            assert call in text, (name, call)
