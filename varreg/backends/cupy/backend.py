"""CuPy backend: the functions of every backend, on one device.

Images, masks and histograms reside on the device (:meth:`CuPyBackend.resident`).  An evaluation transfers the nodes
to the device and a few numbers back.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, HistogramRows, Moving, VoxelMap, Warped, Windows, Workspace
from ..later import Later, known
from ..numpy import backend as host
from . import fields, information, windows
from .device import Device
from .evaluation import gathered, scene_arguments
from .residence import defined_weight, full_rows, moving_on_device, rows_on_device, warped_on_device
from .vectors import DeviceVectors

#: Memory for the registration of a pair: twice the need of the default options, whose similarity needs the least.
BYTES_PER_VOXEL = 130
Shape = tuple[int, ...]


class CuPyBackend:
    """The functions of :class:`varreg.backends.protocol.Backend` on a device.

    Results are NumPy arrays if `nodes` is one, else device arrays.

    Parameters
    ----------
    device : int
        Number of the device.
    cupy : module, optional
        CuPy by default.
    """

    NAME = "cupy"

    def __init__(self, device: int = 0, cupy: Any = None) -> None:
        if cupy is None:
            cupy = importlib.import_module("cupy")
        self.cupy, self.device = cupy, Device(cupy, device)
        self.vectors = DeviceVectors(self.device)
        self.overlap = information.DeviceOverlap(self.device)

    def use(self) -> None:
        """Make this the current device of the thread, on which CuPy arrays are allocated."""
        self.cupy.cuda.Device(self.device.number).use()

    def describe(self) -> str:
        """Name of the device."""
        name = self.cupy.cuda.runtime.getDeviceProperties(self.device.number)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)

    def together(self) -> Callable[[], AbstractContextManager[None]]:
        """Factory of context managers, one per thread, in which evaluations of several threads share launches and waits.

        For the registration of many pairs on one device; other backends do not have this function.
        """
        return self.device.together()

    def room_for(self, voxels: int) -> int:
        """Number of pairs of images of a given number of voxels that fit into the free memory, at least one."""
        return max(1, self.device.free_bytes() // (BYTES_PER_VOXEL * voxels))

    def later(self, function: Callable[..., Any], *arguments: Any) -> Later[Any]:
        """Asynchronous result of a function of this backend; pending requests are sent together when a result is needed."""
        with self.device.deferring():
            found = function(*arguments)
        return found if isinstance(found, Later) else known(found)

    def resident(self, arrays: Any) -> Any:
        """Copy a moving image, histogram rows, buffers or an array to the device if necessary."""
        with self.device.current():
            if isinstance(arrays, Moving):
                return moving_on_device(self.cupy, arrays)
            if isinstance(arrays, HistogramRows):
                return rows_on_device(self.cupy, arrays)
            if isinstance(arrays, Warped):
                return (
                    arrays
                    if self.device.holds(arrays.value)
                    else warped_on_device(self.cupy, arrays)
                )
            return self.cupy.asarray(arrays) if isinstance(arrays, np.ndarray) else arrays

    def warp(
        self, moving: Any, where: VoxelMap, nodes: Array, warped: Warped, threads: int
    ) -> None:
        """Warp the moving image: value and weight at every fixed voxel; no row is marked as full."""
        with self.device.current():
            request, on_device = self.device.request(nodes.dtype), self.device.holds(warped.value)
            shape, place = warped.value.shape, (self.resident(moving), where, nodes)
            scene = scene_arguments(self.device, *place, shape)
            found = (
                (warped.value, warped.weight)
                if on_device
                else tuple(request.add_output(shape, nodes.dtype) for _ in range(2))
            )
            request.cover("warp", math.prod(shape), *scene, *found)
            answer = self.device.answer(request)
            warped.full.fill(0)
            if not on_device:
                warped.value[...], warped.weight[...] = answer

    def backproject(
        self, moving: Any, where: VoxelMap, nodes: Array, warped: Warped, workspace: Workspace,
        threads: int,
    ) -> Any:  # fmt: skip
        """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`."""
        with self.device.current():
            shape, request = warped.value.shape, self.device.request(nodes.dtype)
            scene = scene_arguments(self.device, self.resident(moving), where, nodes, shape)
            by_weight = warped.weight_slope
            if not self.device.holds(by_weight):
                by_weight = np.where(full_rows(warped), by_weight.dtype.type(0), by_weight)
            slopes = self.resident(warped.slope), self.resident(by_weight)
            force = self.device.buffer(workspace, "force", (3, *shape), nodes.dtype)
            request.cover("value_forces", math.prod(shape), *scene, *slopes, force)
            return gathered(request, self.device, force, where, nodes, workspace)

    def joint_histogram(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, workspace: Workspace, threads: int
    ) -> Array:  # fmt: skip
        """Joint histogram (R B, B), fixed row x moving bin, on the host."""
        with self.device.current():
            place = self.resident(moving), where, nodes, self.resident(fixed)
            return information.joint_histogram(self.device, *place)

    def backproject_table(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, table: Array, workspace: Workspace,
        threads: int,
    ) -> Any:  # fmt: skip
        """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram, (R B, B)."""
        with self.device.current():
            place = self.resident(moving), where, nodes, self.resident(fixed)
            return information.backproject_table(self.device, *place, table, workspace)

    def mutual_information(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, kernel: Array, workspace: Workspace,
        threads: int,
    ) -> tuple[float, float]:  # fmt: skip
        """(weight in view, sum over regions of weight times mutual information in nats)."""
        with self.device.current():
            place = self.resident(moving), where, nodes, self.resident(fixed)
            return information.mutual_information(self.device, *place, kernel, workspace)

    def information_gradient(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, kernel: Array, scale: float,
        workspace: Workspace, threads: int,
    ) -> Any:  # fmt: skip
        """`scale` times the derivative of the last :meth:`mutual_information` with this workspace."""
        with self.device.current():
            place = self.resident(moving), where, nodes, self.resident(fixed)
            return information.information_gradient(self.device, *place, kernel, scale, workspace)

    def windowed_histogram(
        self, fixed: Any, warped: Warped, bins: int, shape: Windows, threads: int
    ) -> Array:
        """Joint histogram (B, B) by per-pixel windows, fixed bin x moving bin, on the host."""
        with self.device.current():
            images = self._values_and_weights(fixed, warped)
            return windows.windowed_histogram(self.device, images, bins, shape)

    def windowed_slope(
        self, fixed: Any, warped: Warped, table: Array, shape: Windows, threads: int
    ) -> None:
        """Compute the slopes in `warped` from dE/dhistogram, (B, B), by per-pixel windows."""
        with self.device.current():
            images = self._values_and_weights(fixed, warped)
            slopes = [self.resident(slope) for slope in (warped.slope, warped.weight_slope)]
            windows.windowed_slope(self.device, images, table, shape, slopes)
            if slopes[0] is not warped.slope:
                warped.slope[...], warped.weight_slope[...] = map(self.cupy.asnumpy, slopes)

    def _values_and_weights(self, fixed: Any, warped: Warped) -> tuple[Any, Any, Any]:
        """Fixed values, moving values and weights on the device, with the weights of full rows set to 1."""
        weight = warped.weight if self.device.holds(warped.weight) else defined_weight(warped)
        return self.resident(fixed), self.resident(warped.value), self.resident(weight)

    # single tables of B x B, a few kB needed on the host anyway, do not justify launches
    smooth_table = staticmethod(host.smooth_table)
    smooth_table_transposed = staticmethod(host.smooth_table_transposed)
    information = staticmethod(host.information)

    def determinant_bound(self, field: Array, spacing: Array, threads: int) -> tuple[float, Shape]:
        """Lower bound of det(id + grad u) over all cells, and the cell that attains it."""
        with self.device.current():
            return fields.determinant_bound(self.device, field, spacing)

    def volume(self, field: Array, spacing: Array, threads: int) -> float:
        """Volume term of a field (d, *m); spacing (d,) in the same unit."""
        with self.device.current():
            return fields.volume(self.device, field, spacing)

    def volume_gradient(self, field: Array, spacing: Array, threads: int) -> Any:
        """Derivative of :meth:`volume` with respect to the field, (d, *m)."""
        with self.device.current():
            return fields.volume_gradient(self.device, field, spacing)

    def average_axis(
        self, image: Array, axis: int, start: NDArray, weights: Array, threads: int
    ) -> Any:
        """Weighted sums of neighbours along one axis."""
        with self.device.current():
            before, after = math.prod(image.shape[:axis]), math.prod(image.shape[axis + 1 :])
            shape = (*image.shape[:axis], len(start), *image.shape[axis + 1 :])
            out = self.cupy.empty(shape, dtype=image.dtype)
            source = self.cupy.asarray(image, order="C")
            table = (start.astype(np.int64), np.ascontiguousarray(weights, image.dtype))
            request = self.device.request(image.dtype)
            request.cover(
                "average_axis", out.size, source, before, image.shape[axis], after,
                self.cupy.asarray(table[0]), self.cupy.asarray(table[1]), weights.shape[1],
                len(start), out,
            )  # fmt: skip
            self.device.answer_alone(request)
            return out if self.device.holds(image) else self.cupy.asnumpy(out)

    def read_linear(self, image: Any, points: Array, fill: float, out: Array) -> None:
        """Linear interpolation of an image at arbitrary points."""
        with self.device.current():
            source, axes = self.resident(image), len(points)
            places = self.cupy.asarray(points, dtype=source.dtype, order="C")
            count = points.shape[1]
            found = self.cupy.empty(count, dtype=source.dtype)
            request = self.device.request(source.dtype)
            request.cover(
                "read_points", count, source, *source.shape, places, axes, count, fill, found
            )
            self.device.answer_alone(request)
            out[...] = found if self.device.holds(out) else self.cupy.asnumpy(found)
