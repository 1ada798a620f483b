"""EPI distortion: a known field along one axis of a real head, estimated from its T1.

    python examples/benchmarks/distortion.py --data DATA [--head du7294] [--cube 3] [--peer-python PYTHON]

The T2 of the head is converted to an EPI: larger voxels, displaced along j by a known smooth field that is largest above
the sinuses and the ears, with signal pile-up where it is compressed, and noise.  Errors are those of the displacement
over the head, in EPI voxels.  ANTs runs the registration of fMRIPrep's fieldmap-less correction: restricted to one
axis, without an affine stage; with several gradient steps, since its default is meant for inter-subject registration.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from known_cases import head_images, reduced
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from tables import markdown

import varreg

Array = NDArray[np.floating]
#: Centre and width in half sizes of the head, and height in mm: sinuses, ears.
SOURCES = (
    ((0.0, 0.75, -0.5), 0.3, 7.0),
    ((-0.7, 0.0, -0.5), 0.25, -5.0),
    ((0.7, 0.0, -0.5), 0.25, -4.0),
)
#: Of a slow wave along k, mm; of the noise, in shares of the brightest tissue.
WAVE, NOISE = 1.5, 0.02
OURS: dict[str, dict[str, Any]] = {
    'axes="j"': dict(axes="j"),
    "axes=(0.1, 1, 0.1)": dict(axes=(0.1, 1, 0.1)),
    "all axes": dict(affine=None, deformable=True),
}
THEIRS: dict[str, dict[str, Any]] = {
    f"ANTs, {metric}, 0x1x0, step {step}": dict(
        initial_transform="Identity", syn_metric=metric, restrict_transformation=(0, 1, 0), grad_step=step
    )
    for metric, step in (("mattes", 0.2), ("mattes", 0.05), ("CC", 0.1))
}  # fmt: skip
#: What the other process runs.
PEER = """
import json, sys
import numpy as np
from peers import ants
folder, settings = sys.argv[1:]
images = np.load(folder + "/images.npz")
settings = json.loads(settings)
settings["restrict_transformation"] = tuple(settings["restrict_transformation"])
run = ants("SyNOnly", **settings)
np.save(folder + "/displacement.npy", run(images["fixed"], images["moving"], 1))
"""


def field_of(head: NDArray[np.bool_], voxel: float) -> Array:
    """The known displacement along j, in voxels."""
    x = np.indices(head.shape).astype(float)
    ends = np.array([[axis[head].min(), axis[head].max()] for axis in x])
    at = (x - ends.mean(1)[:, None, None, None]) / (np.ptp(ends, axis=1) / 2)[:, None, None, None]
    found = WAVE * np.sin(2 * np.pi * at[2] / 3)
    for centre, width, height in SOURCES:
        apart = np.square(at - np.reshape(centre, (3, 1, 1, 1))).sum(0)
        found += height * np.exp(-apart / (2 * width**2))
    return found / voxel


def distorted(image: Array, field: Array, rng: np.random.Generator) -> Array:
    """The image as EPI shows it: x appears at x + field(x), with its signal."""
    i, j, k = np.indices(image.shape).astype(float)
    before = j.copy()
    for _ in range(200):
        before = j - map_coordinates(field, [i, before, k], order=1, mode="nearest")
    change = map_coordinates(np.gradient(field, axis=1), [i, before, k], order=1, mode="nearest")
    shown = map_coordinates(image, [i, before, k], order=3, mode="nearest").clip(0) / (1 + change)
    return shown + NOISE * np.percentile(image, 99) * rng.normal(size=image.shape)


def made(data: Path, name: str, cube: int) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """T1, EPI, field (voxels), head."""
    t1, t2 = (reduced(np.maximum(image, 0), cube) for image in head_images(data, name))
    head = t1 > 0.02 * t1.max()
    field = field_of(head, cube)
    return t1, distorted(t2, field, np.random.default_rng(0)), field, head


def error(displacement: Array, field: Array, head: NDArray[np.bool_]) -> list[str]:
    """Mean, 95th percentile and largest error over the head, voxels."""
    difference = displacement.astype(float)
    difference[1] -= field
    lengths = np.linalg.norm(difference, axis=0)[head]
    figures = lengths.mean(), np.percentile(lengths, 95), lengths.max()
    return [f"{figure:.2f}" for figure in figures]


def ours(fixed: Array, moving: Array, cube: int, settings: dict[str, Any], threads: int) -> Array:
    images = (varreg.Image.from_array(a.astype(np.float32), spacing=cube) for a in (moving, fixed))
    return varreg.solve(*images, threads=threads, progress=False, **settings).displacement


def theirs(python: str, fixed: Array, moving: Array, name: str) -> Array:
    """In a process of its own, which needs no varreg."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "images.npz", fixed=np.float32(fixed), moving=np.float32(moving))
        command = [python, "-c", PEER, folder, json.dumps(THEIRS[name])]
        subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent)
        return np.load(Path(folder) / "displacement.npy")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--head", default="du7294")
    parser.add_argument("--cube", type=int, default=3, help="mm of a voxel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="rows that begin so, separated by semicolons")
    parser.add_argument("--peer-python", default=sys.executable)
    args = parser.parse_args()
    fixed, moving, field, head = made(args.data, args.head, args.cube)
    rows = [["nothing", *error(np.zeros((3, *field.shape)), field, head), ""]]
    ours(fixed, moving, args.cube, dict(axes="j", iterations=1), args.threads)  # compiles
    for name in (*OURS, *THEIRS):
        if args.only and not name.startswith(tuple(args.only.split(";"))):
            continue
        begun = time.perf_counter()
        if name in OURS:
            found = ours(fixed, moving, args.cube, OURS[name], args.threads)
        else:
            found = theirs(args.peer_python, fixed, moving, name)
        rows.append([name, *error(found, field, head), f"{time.perf_counter() - begun:.1f}"])
        print(rows[-1], file=sys.stderr, flush=True)
    print(markdown(["", "mean, voxels", "p95", "largest", "s"], rows))


if __name__ == "__main__":
    main()
