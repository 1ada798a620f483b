"""What is launched, waited for and carried; and what the launches refuse."""

import re

import numpy as np
import pytest

from varreg.backends.arrays import Workspace
from varreg.backends.cupy.launch import Kernels
from varreg.backends.cupy.request import Request
from varreg.backends.cupy.sending import ALIGNMENT
from varreg.backends.cupy.source import signatures, source
from varreg.similarity.estimator import parzen_kernel

from ..scenes import BINS, scene
from .device import backend, needs_compiler
from .fake_cupy import FakeCuPy

KERNEL = parzen_kernel(BINS, 0.5)


@needs_compiler
def test_an_evaluation_waits_once_and_so_does_its_gradient():
    s, b, workspace = scene("3d-few-nodes", np.float32), backend(), Workspace()
    moving, rows = b.resident(s.moving), b.resident(s.histogram_rows((2, 1, 2)))
    place = moving, s.where, s.nodes, rows, KERNEL
    b.mutual_information(*place, workspace, 1)  # compiles, and sends the tables of the map
    log = b.cupy.log
    log.reset()
    b.mutual_information(*place, workspace, 1)
    assert log.launches == ["clear_table", "joint_histogram", "region_information", "sum_regions"]
    assert (log.synchronisations, log.uploads) == (1, 1)
    assert s.nodes.nbytes < log.bytes_up <= s.nodes.nbytes + 8 * ALIGNMENT
    assert log.bytes_down == ALIGNMENT
    log.reset()
    b.information_gradient(*place, 1.0, workspace, 1)
    b.information_gradient(*place, 1.0, workspace, 1)
    assert log.launches == 2 * ["smooth_transposed", "table_forces", *3 * ["gather_axis"]]
    assert (log.synchronisations, log.uploads) == (2, 2)
    assert log.bytes_down < 2 * (s.nodes.nbytes + ALIGNMENT)


@needs_compiler
def test_the_bound_of_folds_is_waited_for_once():
    log = backend().cupy.log
    log.reset()
    backend().determinant_bound(np.zeros((3, 30, 40, 50)), np.ones(3), 1)
    assert (log.launches, log.synchronisations) == (["volume_bound"], 1)


@needs_compiler
def test_the_tables_of_a_map_are_sent_once_and_become_read_only():
    s, b = scene("2d", np.float32), backend()
    b.warp(*s.place(), s.warped(b), 1)
    b.cupy.log.reset()
    moving, buffers = b.resident(s.moving), s.warped(b)
    b.cupy.log.reset()
    b.warp(moving, s.where, s.nodes, b.resident(buffers), 1)
    assert b.cupy.log.uploads == 1
    with pytest.raises(ValueError, match="read-only"):
        s.where.weight[...] = 0


@needs_compiler
def test_tables_are_forgotten_with_their_map():
    b = backend("plain", "reverse")
    before = len(b.device.tables._found)
    s = scene("2d", np.float32)
    s.warped(b)
    assert len(b.device.tables._found) == before + 1
    del s
    assert len(b.device.tables._found) == before


@needs_compiler
@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda cp, a: a, "not an array on the device"),
        (lambda cp, a: cp.asarray(a.astype(float)), "contiguous float32; got float64"),
        (lambda cp, a: cp.asarray(a)[..., ::-1], "not contiguous"),
    ],
    ids=["of-the-host", "another-type", "reversed"],
)
def test_a_launch_refuses_what_the_kernel_would_misread(wrong, message):
    cupy = FakeCuPy()
    request = Request(Kernels(cupy, np.float32))
    image = wrong(cupy, np.zeros((2, 3, 4), np.float32))
    out = cupy.empty(5, dtype=np.float32)
    points = cupy.asarray(np.zeros((3, 5), np.float32))
    with pytest.raises(TypeError, match=message):
        request.cover("read_points", 5, image, 2, 3, 4, points, 3, 5, 0.0, out)
    with pytest.raises(TypeError, match="arguments for 9 parameters"):
        request.cover("read_points", 5, image)
    with pytest.raises(ValueError, match="no launch"):
        request.launch("read_points", 0, image)
    assert not request.steps


def test_no_kernel_looks_at_the_pairs_beside_its_own():
    said = re.sub("//.*", "", source(np.float32))
    assert "gridDim" not in said and "blockIdx.y" not in said


def test_every_kernel_has_a_signature():
    code = source(np.float32)
    found = signatures(code, np.float32)
    assert len(found) == code.count("__global__") == code.count("__launch_bounds__")
    by_name = {p.name: p for p in found["joint_histogram"].parameters}
    assert by_name["table"].pointer and by_name["table"].dtype == np.uint64
    assert not by_name["low"].pointer and by_name["low"].dtype == np.float32
    assert by_name["bin"].dtype == np.int16
