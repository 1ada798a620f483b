"""docs/slicer.md with a stand-in for Slicer: arrays in the order k, j, i, matrices from i, j, k to RAS."""

from __future__ import annotations

import shlex
import sys
from types import ModuleType

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli import main
from varreg.data.phantom import deformed_pair

from .packages import code_of

AFFINE = np.array([[-2.0, 0, 0, 40], [0, 1.5, 0, -30], [0, 0, 2.5, 7], [0, 0, 0, 1]])


class Matrix:
    """vtk.vtkMatrix4x4."""

    values = np.eye(4)


class Volume:
    """A scalar volume node of a NIfTI file."""

    def __init__(self, file):
        image = nibabel.load(file)
        self.name, self.affine = file.name.split(".")[0], image.affine
        self.kji = np.asarray(image.dataobj).T

    def GetName(self):
        return self.name

    def GetIJKToRASMatrix(self, matrix):
        matrix.values = self.affine

    def SetAndObserveTransformNodeID(self, identity):
        self.transform = identity


class Transform:
    """A transform node, whose identity is its file."""

    def __init__(self, file):
        self.file = file

    def GetID(self):
        return self.file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slicer")
    pair = deformed_pair((36, 40, 32), np.random.default_rng(0))
    for name in ("moving", "fixed"):
        image = nibabel.Nifti1Image(getattr(pair, name), AFFINE)
        nibabel.save(image, folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def scene(folder, monkeypatch):
    """The stand-in; what the page adds to the scene."""
    nodes = {name: Volume(folder / f"{name}.nii.gz") for name in ("moving", "fixed")}
    added = {}

    def add(array, ijkToRAS, name):
        added[name] = array, ijkToRAS.values
        return name

    util = ModuleType("slicer.util")
    util.getNode = nodes.get
    util.arrayFromVolume = lambda node: node.kji
    util.arrayFromVTKMatrix = lambda matrix: matrix.values
    util.addVolumeFromArray = add
    util.setSliceViewerLayers = lambda background, foreground, foregroundOpacity: None
    util.loadTransform = Transform
    modules = {"slicer": ModuleType("slicer"), "vtk": ModuleType("vtk")}
    modules["slicer"].util, modules["vtk"].vtkMatrix4x4 = util, Matrix
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return nodes, added


def test_python_in_slicer_gives_what_files_give(folder, scene):
    pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    nodes, added = scene
    exec(code_of("slicer.md", "Slicer's Python"), namespace := {"__name__": "__main__"})
    result = namespace["result"]
    expected = varreg.solve(folder / "moving.nii.gz", folder / "fixed.nii.gz")
    assert np.array_equal(result.displacement, expected.displacement)
    kji, matrix = added["moving on fixed"]
    assert np.array_equal(kji, expected.warped.data.T) and np.array_equal(matrix, AFFINE)
    file = nodes["moving"].transform
    read = varreg.read_transform(file, folder / "fixed.nii.gz", folder / "moving.nii.gz")
    voxels = np.array([[10, 12, 9, 1], [20, 25, 20, 1]])  # between them ITK's fields are linear
    points = voxels @ AFFINE[:3].T
    assert np.allclose(read.points(points), expected.points(points), atol=1e-3)


def test_the_files_are_written(folder, monkeypatch):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    monkeypatch.chdir(folder)
    lines = [line for line in code_of("slicer.md", "Files", "sh").splitlines() if line]
    assert len(lines) == 2
    for line in lines:
        made = CliRunner().invoke(main, shlex.split(line)[1:])
        assert made.exit_code == 0, made.output
    point = np.array([5.0, -3, 45])
    flip = np.array([-1, -1, 1])  # RAS to LPS
    theirs = flip * sitk.ReadTransform("registered.h5").TransformPoint((flip * point).tolist())
    assert np.allclose(theirs, varreg.load("registered").points(point), atol=1e-3)
