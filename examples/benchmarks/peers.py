"""Other registration tools with a common signature: ``run(fixed, moving, threads) -> displacement``.

Images are (*S) float32; the displacement is (d, *S) in voxels, and the fixed voxel x corresponds to the
moving voxel x + displacement(x), affine part included.  Each tool runs with its defaults or with
the values recommended in its documentation.  Packages are imported on the call only: these
tools bundle copies of ITK, which cannot share a process with each other or with numba.
The number of threads of ITK is set by the environment variable ``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS`` (the
argument of elastix crashes version 0.25).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Run = Callable[[Array, Array, int], Array]


def ants(transform: str, **options: Any) -> Run:
    """ANTsPy with its defaults for a transform: ``"SyN"`` begins with an affine stage."""

    def run(fixed: Array, moving: Array, threads: int) -> Array:
        import ants
        import pandas

        images = ants.from_numpy(fixed), ants.from_numpy(moving)
        found = ants.registration(*images, type_of_transform=transform, **options)
        grid, names = voxel_grid(fixed.shape), "xyz"[: fixed.ndim]
        points = pandas.DataFrame({n: c.ravel() for n, c in zip(names, grid, strict=True)})
        mapped = ants.apply_transforms_to_points(fixed.ndim, points, found["fwdtransforms"])
        for file in {*found["fwdtransforms"], *found["invtransforms"]}:
            Path(file).unlink(missing_ok=True)
        return np.stack([mapped[n].to_numpy().reshape(fixed.shape) for n in names]) - grid

    return run


def greedy(
    metric: str, affine: bool, iterations: str = "100x50x20", smoothing: str = "2.0vox 0.7vox"
) -> Run:
    """greedy, with an affine stage or without; it smooths each update and the whole warp."""

    def run(fixed: Array, moving: Array, threads: int) -> Array:
        import SimpleITK
        from picsl_greedy import Greedy2D, Greedy3D

        d = fixed.ndim
        tool, common = (Greedy2D if d == 2 else Greedy3D)(), f"-threads {threads} -V 0"
        images = {"F": itk_order(SimpleITK, fixed), "M": itk_order(SimpleITK, moving)}
        start = ""
        if affine:
            stage = f"-d {d} -a -i F M -o A -m {metric} -n 100x50x20 -ia-image-centers {common}"
            tool.execute(stage, **images, A=None)
            start = "-it A"
        warp = f"-d {d} -i F M -o W -m {metric} -n {iterations} -s {smoothing} -e 0.5 -wp 0"
        tool.execute(f"{warp} {start} {common}", **images, W=None)
        displacement = from_itk(SimpleITK.GetArrayFromImage(tool["W"]), d)
        if affine:
            displacement = _affine_after(np.asarray(tool["A"]), displacement)
        return displacement

    return run


def elastix(fixed: Array, moving: Array, threads: int) -> Array:
    """Affine, then B-splines 16 voxels apart: elastix' default parameter maps, Mattes MI."""
    import itk

    images = [itk.image_from_array(np.ascontiguousarray(x.transpose())) for x in (fixed, moving)]
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("affine", 4))
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("bspline", 4, 16.0))
    _, found = itk.elastix_registration_method(
        *images, parameter_object=parameters, log_to_console=False
    )
    with tempfile.TemporaryDirectory() as folder, _standing_in(folder):  # it writes where it stands
        field = itk.array_from_image(itk.transformix_deformation_field(images[1], found)).copy()
    return from_itk(field, fixed.ndim)


def fireants(device: str) -> Run:
    """FireANTs on a device of PyTorch: affine, then greedy, by mutual information of images scaled to [0, 1], as it wants them.

    Levels and iterations are those of the scripts that it brings for heads, all else its defaults.  Axes of less
    than 32 voxels, which it does not take, are continued by zeros.
    """

    def run(fixed: Array, moving: Array, threads: int) -> Array:
        import SimpleITK
        import torch
        from fireants.io.image import BatchedImages, Image
        from fireants.registration.affine import AffineRegistration
        from fireants.registration.greedy import GreedyRegistration

        torch.set_num_threads(threads)
        # axes stay as they are: the last axis of an array is the first of ITK's coordinates
        arrays = [np.pad(unit(x), [(0, max(32 - n, 0)) for n in x.shape]) for x in (fixed, moving)]
        images = [
            BatchedImages([Image(SimpleITK.GetImageFromArray(x), device=device)]) for x in arrays
        ]
        common: dict[str, Any] = dict(loss_type="mi", progress_bar=False)
        affine = AffineRegistration([8, 4, 2, 1], [100, 50, 25, 20], *images, **common)
        affine.optimize()
        start = affine.get_affine_matrix().detach()
        greedy = GreedyRegistration([4, 2, 1], [200, 100, 50], *images, init_affine=start, **common)
        greedy.optimize()
        found = greedy.get_warped_coordinates(*images).detach().cpu().numpy()[0]
        there = np.moveaxis(
            found[..., ::-1].astype(np.float64), -1, 0
        )  # [-1, 1] from centre to centre
        size = np.array(arrays[1].shape, np.float64).reshape((-1,) + (1,) * fixed.ndim)
        whole = (there + 1) / 2 * (size - 1) - voxel_grid(arrays[0].shape)
        return whole[(slice(None), *(slice(n) for n in fixed.shape))]

    return run


#: name -> (function, packages that it imports)
PEERS: dict[str, tuple[Run, tuple[str, ...]]] = {
    "ants-syn": (ants("SyN"), ("ants", "pandas")),
    "ants-synonly": (ants("SyNOnly"), ("ants", "pandas")),
    "greedy-nmi": (greedy("NMI", affine=False), ("picsl_greedy", "SimpleITK")),
    "greedy-nmi-affine": (greedy("NMI", affine=True), ("picsl_greedy", "SimpleITK")),
    "elastix": (elastix, ("itk",)),
    "fireants": (fireants("cuda"), ("fireants", "torch", "SimpleITK")),
    "fireants-cpu": (fireants("cpu"), ("fireants", "torch", "SimpleITK")),
}


def unit(image: Array) -> Array:
    """An image scaled to [0, 1], float32."""
    low, high = float(image.min()), float(image.max())
    return np.ascontiguousarray((image - low) / max(high - low, 1e-30), dtype=np.float32)


def voxel_grid(shape: tuple[int, ...]) -> Array:
    """Voxel coordinates (d, *S), float64."""
    return np.stack(np.meshgrid(*[np.arange(n, dtype=np.float64) for n in shape], indexing="ij"))


def itk_order(SimpleITK: Any, array: Array) -> Any:
    """An image with an identity header whose index order is the array's."""
    return SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))


def from_itk(field: Array, dimension: int) -> Array:
    """(z, y, x, d) as ITK hands it out -> (d, *S)."""
    moved = np.moveaxis(np.asarray(field, np.float64), -1, 0)
    return moved.transpose(0, *range(dimension, 0, -1))


def _affine_after(matrix: Array, displacement: Array) -> Array:
    """The displacement of x -> A (x + displacement(x)); greedy's matrix is in RAS, voxels in LPS."""
    d, grid = len(displacement), voxel_grid(displacement.shape[1:])
    flip = np.diag([-1.0, -1.0, 1.0][:d])
    linear, shift = flip @ matrix[:d, :d] @ flip, flip @ matrix[:d, d]
    moved = np.tensordot(linear, grid + displacement, 1) + shift.reshape((d,) + (1,) * d)
    return moved - grid


@contextlib.contextmanager
def _standing_in(folder: str) -> Any:
    """contextlib.chdir, which Python 3.10 does not have."""
    import os

    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
