"""Accuracy and run time of motion correction, compared with ``ants.motion_correction``.

    python examples/benchmarks/series.py [--data DATA] [--volumes 12] [--threads 1] [--only epi,template,head]

Image series with known motion: an image is rotated and translated by 0 to 5 degrees and mm about its centre (cubic
splines; that of "head", with 1 mm voxels, is then averaged to 3 mm), with noise of 2 % of its 95th percentile, and an
intensity drift of 10 % from the first volume to the last.  "epi" is a volume of an echo-planar series, "template" the T2
of a template, "head" the T2 of a patient; in "contrasts" the first volume is that T2 and the others are the T1 of the
same patient.  Files of DATA, by default $VARREG_DATA.

Errors are those of the maps from the first volume to each other volume: the largest distance over the head (mm) and the
angle (degrees), by the size of the motion, mean and worst; "from volume 1" is the largest distance of the maps from the
second volume to the later ones, which have the same contrast and are read from the same file.  The reference of every
method is the first volume, except for "mean".  Times are per volume, in the same run, with equal numbers of threads,
after one volume to warm up: wall time, and processor time, which other load on the machine affects
less.  Both align and warp.  ANTs runs in a separate process (``--peer-python``).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation
from tables import markdown

Array = Any
#: Name -> files of the first volume and of the others, and over cubes of how many voxels they are averaged.
CASES = {
    "epi": ("coverage/fmri.nii.gz", "coverage/fmri.nii.gz", 1),
    "template": ("template2mm/spm_avg152T2.nii", "template2mm/spm_avg152T2.nii", 1),
    "head": ("du7294/t2w.nii.gz", "du7294/t2w.nii.gz", 3),
    "contrasts": ("du7294/t2w.nii.gz", "du7294/t1n.nii.gz", 3),
}
#: mm and degrees.
SIZES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
NOISE, DRIFT = 0.02, 0.1
METHODS = ("varreg", "varreg-mean", "ants-Rigid", "ants-BOLDRigid")


def motions(affine: Array, shape: tuple[int, ...], count: int, seed: int) -> tuple[Array, Array]:
    """Maps (n, 4, 4) from the first volume to each, and their sizes."""
    rng = np.random.default_rng(seed)
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    sizes = np.array([0.0, *(SIZES[k % len(SIZES)] for k in range(count - 1))])
    maps = np.tile(np.eye(4), (count, 1, 1))
    for matrix, size in zip(maps, sizes, strict=True):
        shift, turn = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
        matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(size) * turn).as_matrix()
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre + size * shift
    return maps, sizes


def made(
    paths: list[Path], cube: int, count: int, seed: int
) -> tuple[Array, Array, Array, Array, Array]:
    """A series (x, y, z, n), its affine, the maps, their sizes, and points of the head (4, m) in world."""
    images = [nibabel.load(path) for path in paths]
    first, data = (np.asarray(image.dataobj, float).squeeze() for image in images)
    affine = images[0].affine
    maps, sizes = motions(affine, data.shape, count, seed)
    coefficients, rng = ndimage.spline_filter(data, 3), np.random.default_rng(seed)
    volumes = [averaged(first, cube)]
    for matrix in maps[1:]:
        back = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ affine
        seen = ndimage.affine_transform(
            coefficients, back[:3, :3], back[:3, 3], order=3, prefilter=False, mode="nearest"
        )
        volumes.append(averaged(seen, cube))
    coarse = affine @ np.diag([cube, cube, cube, 1.0])
    coarse[:3, 3] += affine[:3, :3] @ np.full(3, (cube - 1) / 2)
    levels = [np.percentile(volume, 95) for volume in volumes]
    series = [
        (1 + DRIFT * k / (count - 1)) * volume + NOISE * level * rng.standard_normal(volume.shape)
        for k, (volume, level) in enumerate(zip(volumes, levels, strict=True))
    ]
    at = np.argwhere(volumes[0] > 0.3 * levels[0])
    at = at[rng.choice(len(at), 3000)]
    points = coarse @ np.vstack([at.T, np.ones(len(at))])
    return np.stack(series, -1).astype(np.float32), coarse, maps, sizes, points


def averaged(volume: Array, cube: int) -> Array:
    """Means over cubes of voxels."""
    if cube == 1:
        return volume
    n = [size // cube for size in volume.shape]
    cut = volume[tuple(slice(cube * size) for size in n)]
    return cut.reshape(n[0], cube, n[1], cube, n[2], cube).mean((1, 3, 5))


def by_varreg(path: Path, method: str, threads: int) -> tuple[Array, Array]:
    import varreg

    reference: Any = "mean" if method.endswith("mean") else 0
    array, affine = nibabel.load(path).get_fdata(dtype=np.float32), nibabel.load(path).affine
    warm = nibabel.Nifti1Image(array[..., :2], affine)
    varreg.align_series(warm, reference=reference, threads=threads, progress=False)
    begun = clocks()
    found = varreg.align_series(path, reference=reference, threads=threads, progress=False)
    with tempfile.TemporaryDirectory() as folder:  # ANTs warps, too
        out = Path(folder) / "a.nii"
        varreg.apply_series(path, found, out, threads=threads, progress=False)
    seconds = (clocks() - begun) / found.count
    return found.affines @ np.linalg.inv(found.affines[0]), seconds


def by_ants(path: Path, method: str, threads: int, python: str) -> tuple[Array, Array]:
    """In a process of its own, which runs :func:`peer`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.npz"
        environment = os.environ | {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)}
        command = [python, __file__, "--peer", str(path), str(out), method.split("-")[1]]
        subprocess.run(command, check=True, env=environment)
        with np.load(out) as found:
            return found["maps"], found["seconds"]


def peer(path: str, out: str, kind: str) -> None:
    """What runs beside varreg."""
    import ants

    image = ants.image_read(path)
    first = ants.slice_image(image, axis=3, idx=0)
    ants.registration(first, first, "Rigid")
    begun = clocks()
    found = ants.motion_correction(image, fixed=first, type_of_transform=kind)
    seconds = (clocks() - begun) / image.shape[3]
    flip, maps = np.diag([-1.0, -1.0, 1.0, 1.0]), []
    for files in found["motion_parameters"]:
        one = ants.read_transform(files[0])
        numbers, centre = one.parameters, one.fixed_parameters
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(numbers[:9], (3, 3))
        matrix[:3, 3] = np.array(numbers[9:]) + centre - matrix[:3, :3] @ centre
        maps.append(flip @ matrix @ flip)
    maps = np.array(maps)
    np.savez(out, maps=maps @ np.linalg.inv(maps[0]), seconds=seconds)


def clocks() -> Array:
    """Seconds by the clock, and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def errors(found: Array, true: Array, points: Array) -> tuple[Array, Array]:
    apart = np.linalg.norm(((found - true) @ points)[:, :3], axis=1).max(1)
    turns = np.swapaxes(true[:, :3, :3], 1, 2) @ found[:, :3, :3]
    return apart, np.rad2deg(Rotation.from_matrix(turns).magnitude())


def rows(case: str, args: argparse.Namespace, folder: Path) -> list[list[str]]:
    *names, cube = CASES[case]
    paths = [args.data / name for name in names]
    series, affine, maps, sizes, points = made(paths, cube, args.volumes, args.seed)
    image = nibabel.Nifti1Image(series, affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.0))
    path = folder / f"{case}.nii"
    nibabel.save(image, path)
    shape = " x ".join(map(str, series.shape))
    table = []
    for method in args.methods.split(","):
        if method.startswith("ants"):
            found, seconds = by_ants(path, method, args.threads, args.peer_python)
        else:
            found, seconds = by_varreg(path, method, args.threads)
        apart, turned = errors(found, maps, points)
        by_size = [f"{apart[1:][sizes[1:] == size].mean():.3f}" for size in SIZES]
        worst = f"{apart.max():.3f} mm, {turned.max():.3f}"
        again = found @ np.linalg.inv(found[1]), maps @ np.linalg.inv(maps[1])
        other = f"{errors(*(a[1:] for a in again), points)[0].max():.3f}"
        table.append([case, shape, method, *by_size, worst, other, *(f"{s:.2f}" for s in seconds)])
        print("; ".join(table[-1]), file=sys.stderr, flush=True)
    return table


def main() -> None:
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
        return
    import checkout  # noqa: F401
    from machine import describe, summary

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("VARREG_DATA"))
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--volumes", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer-python", default=sys.executable)
    args = parser.parse_args()
    if args.data is None:
        parser.error("give --data, or set VARREG_DATA")
    args.data = Path(args.data)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in args.only.split(","):
            found += rows(case, args, Path(folder))
    print(f"{summary(describe())}\n{args.threads} threads, {args.volumes} volumes\n")
    sizes = [f"{size:g} mm, deg" for size in SIZES]
    print(
        markdown(
            [
                "series",
                "shape",
                "method",
                *sizes,
                "worst",
                "from volume 1",
                "s per volume",
                "of the processor",
            ],
            found,
        )
    )


if __name__ == "__main__":
    main()
