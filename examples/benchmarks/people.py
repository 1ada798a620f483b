"""Inter-subject registration: overlap of manual labels after registration by several tools.

    python examples/benchmarks/people.py --data MANIFEST --spacing 2 affine varreg varreg-smooth ants-syn-full greedy-nmi-affine

MANIFEST is a JSON object {"subjects": {ID: {"T1": FILE, "labels": FILE}}, "pairs": [[FIXED, MOVING], ..]}, files
relative to it.  The fixed image is the T1 of one person, the moving image the T1 of another with inverted contrast
and noise, so that only multimodal similarities are suitable.  Moving labels are warped by the map of
a tool (nearest neighbour) and compared with the fixed ones.  A row: mean Dice of all labels and of the cortex (labels
from 100), distance of the surfaces of structures inside the brain (95th percentile, mm), standard deviation of log det J
over the head (roughness), folded voxels (%), median run time in seconds.  Every method
runs in a separate process; its first pair is registered once before, to load and compile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from choices import add_runs, parser, write_json
from machine import describe, summary
from methods import Method, find_methods, solve
from nibabel.processing import resample_to_output
from peers import ants, greedy
from scipy import ndimage as ndi
from tables import markdown

CORTEX = 100
#: Smallest volume of a structure that is compared, and of one whose surface is, mm^3.
SMALLEST, LARGE = 100.0, 500.0
OWN = {
    "affine": {"deformable": False, "affine": "affine"},
    "varreg-smooth": {"regularity": "smooth"},
    "varreg-fine": {"regularity": "fine"},
}
FULL = ants("SyN", reg_iterations=(100, 70, 50, 20))
#: Settings along which each tool trades overlap for roughness; the middle one is its default.
FRONT: dict[str, dict[str, Method]] = {
    "varreg": {
        str(weight): Method(
            f"varreg-front-{weight}", partial(solve, regularity="fine", volume_weight=weight)
        )
        for weight in (0.2, 0.4, 0.8, 1.6, 3.2)
    },
    "ANTs SyN": {
        str(sigma): Method(
            f"ants-front-{sigma}",
            ants("SyN", reg_iterations=(100, 70, 50, 20), flow_sigma=sigma),
            ("ants",),
            peer=True,
        )
        for sigma in (2, 3, 4.5)
    },
    "greedy": {
        str(sigma): Method(
            f"greedy-front-{sigma}",
            greedy("NMI", affine=True, smoothing=f"{sigma}vox {0.35 * sigma:.2f}vox"),
            ("picsl_greedy",),
            peer=True,
        )
        for sigma in (1.5, 2.0, 2.7, 3.6)
    },
}


def method(name: str) -> Method:
    """A method by its name; those that only this script has, too."""
    if name in OWN:
        return Method(name, partial(solve, **OWN[name]))
    for settings in FRONT.values():
        for one in settings.values():
            if one.name == name:
                return one
    if name == "ants-syn-full":
        return Method(name, FULL, ("ants",), peer=True)
    return find_methods([name])[0]


def person(entry: dict[str, str], folder: Path, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Image with its foreground in [0, 1], and labels, in RAS order at an isotropic spacing."""
    image, labels = (
        nib.as_closest_canonical(nib.load(folder / entry[k])) for k in ("T1", "labels")
    )
    if spacing != 1:
        smooth = ndi.gaussian_filter(image.get_fdata(dtype=np.float32), 0.4 * spacing)
        image = resample_to_output(nib.Nifti1Image(smooth, image.affine), [spacing] * 3, order=1)
        labels = resample_to_output(labels, [spacing] * 3, order=0)
    data = np.asarray(image.get_fdata(), np.float32)
    return np.clip(data / np.percentile(data[data > 0], 99.5), 0, 1), np.rint(
        labels.get_fdata()
    ).astype(int)


def turned(image: np.ndarray, seed: int) -> np.ndarray:
    """The head in another contrast: fluid bright, white matter dark, background black."""
    noise = np.random.default_rng(seed).normal(0, 0.02, image.shape)
    shown = np.clip((1.05 - image) ** 1.3 + noise, 0.01, 1.2)
    return np.where(image > 0.02, shown, 0).astype(np.float32)


def padded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in the middle of a larger field of view."""
    before = [(n - m) // 2 for n, m in zip(shape, array.shape, strict=True)]
    return np.pad(
        array, [(k, n - m - k) for k, n, m in zip(before, shape, array.shape, strict=True)]
    )


def people(
    manifest: Path, spacing: float, limit: int | None
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name, and fixed image and labels, moving image and labels of each pair."""
    content = json.loads(manifest.read_text())
    for number, (fixed, moving) in enumerate(content["pairs"][:limit]):
        read = [
            person(content["subjects"][key], manifest.parent, spacing) for key in (fixed, moving)
        ]
        shape = tuple(
            max(sizes) + 8 for sizes in zip(*(image.shape for image, _ in read), strict=True)
        )
        (image, labels), (other, others) = read
        seed = int(moving) if moving.isdigit() else number
        arrays = [image, labels, turned(other, seed), others]
        yield f"{moving} -> {fixed}", [padded(a, shape) for a in arrays]


def overlap(fixed: np.ndarray, moved: np.ndarray, voxel: float) -> tuple[float, float]:
    """Mean Dice of all structures of the fixed image, and of the cortical ones."""
    size = int(max(fixed.max(), moved.max())) + 1
    a, b, both = (
        np.bincount(v, minlength=size)
        for v in (fixed.ravel(), moved.ravel(), fixed[fixed == moved])
    )
    names = np.flatnonzero(a * voxel > SMALLEST)[1:]
    dice = 2 * both[names] / (a[names] + b[names])
    return float(dice.mean()), float(dice[names >= CORTEX].mean())


def surface_distance(fixed: np.ndarray, moved: np.ndarray, spacing: float) -> float:
    """95th percentile of the distance between the surfaces of a structure, mean over those inside the brain, mm."""
    found = []
    for name, box in enumerate(ndi.find_objects(fixed), 1):
        if box is None or name >= CORTEX or (fixed[box] == name).sum() * spacing**3 < LARGE:
            continue
        wide = tuple(slice(max(b.start - 15, 0), b.stop + 15) for b in box)
        edges = [
            part ^ ndi.binary_erosion(part) for part in (fixed[wide] == name, moved[wide] == name)
        ]
        if edges[1].any():
            there, here = (ndi.distance_transform_edt(~edge, spacing) for edge in edges)
            found.append(np.percentile(np.concatenate([here[edges[0]], there[edges[1]]]), 95))
    return float(np.mean(found)) if found else float("nan")


def scores(displacement: np.ndarray, arrays: list[np.ndarray], spacing: float) -> dict[str, float]:
    """Overlap, roughness and folds of a map."""
    fixed, labels, _, others = arrays
    there = np.indices(fixed.shape) + displacement
    carried = ndi.map_coordinates(others, there, order=0)
    dice, cortex = overlap(labels, carried, spacing**3)
    jacobian = (
        np.stack([np.stack(np.gradient(c)) for c in displacement])
        + np.eye(3)[..., None, None, None]
    )
    determinant = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)))
    rough = float(np.log(np.maximum(determinant[fixed > 0.02], 1e-3)).std())
    return {
        "dice": dice,
        "cortex": cortex,
        "surface": surface_distance(labels, carried, spacing),
        "sdlogj": rough,
        "folds": 100 * float((determinant <= 0).mean()),
    }


def measured(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Scores and seconds of a method on every pair."""
    chosen, found = method(name), []
    for pair, arrays in people(given.data, given.spacing, given.limit):
        if not found:
            chosen.run(
                arrays[0][::3, ::3, ::3].copy(), arrays[2][::3, ::3, ::3].copy(), given.threads
            )
        start = time.perf_counter()
        displacement = np.asarray(chosen.run(arrays[0], arrays[2], given.threads))
        seconds = time.perf_counter() - start
        found.append(
            {"pair": pair, "seconds": seconds, **scores(displacement, arrays, given.spacing)}
        )
        print(f"{name}, {pair}: Dice {found[-1]['dice']:.3f}, {seconds:.1f} s", file=sys.stderr)
    return found


def measured_apart(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The same in a process of its own; none if that fails."""
    python = given.peer_python if method(name).peer else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows.json"
        command = [
            python, __file__, name, "--in-this-process", "--data", str(given.data), "--spacing", str(given.spacing),
            "--threads", str(given.threads), "--json", str(answer),
            *(["--limit", str(given.limit)] if given.limit else []),
        ]  # fmt: skip
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        return json.loads(answer.read_text()) if answer.exists() else []


def row(name: str, found: list[dict[str, Any]]) -> list[str]:
    """The cells of a method."""
    if not found:
        return [name, *["failed"] * 6]
    keys = ("dice", "cortex", "surface", "sdlogj")
    mean = {key: float(np.mean([f[key] for f in found])) for key in keys}
    folds, seconds = max(f["folds"] for f in found), float(np.median([f["seconds"] for f in found]))
    return [name, *(f"{v:.3f}" for v in mean.values()), f"{folds:.3f}", f"{seconds:.1f}"]


def main() -> None:
    """The command line."""
    target = parser(__doc__)
    target.add_argument("methods", nargs="+", metavar="METHOD")
    target.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    target.add_argument("--spacing", type=float, default=2.0, help="mm; 1 is the data's own")
    target.add_argument("--limit", type=int, metavar="N", help="first N pairs")
    target.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    add_runs(target)
    given = target.parse_args()
    if given.in_this_process:
        write_json(given.json, measured(given.methods[0], given))  # type: ignore[arg-type]
        return
    found = {name: measured_apart(name, given) for name in given.methods}
    machine = describe()
    print(f"{summary(machine)}\npairs of {given.data.parent.name} at {given.spacing:g} mm\n")
    header = ("method", "Dice", "cortex", "HD95 (mm)", "SDlogJ", "folds (%)", "s")
    print(markdown(header, [row(name, rows) for name, rows in found.items()]))
    write_json(given.json, {"machine": machine, "rows": found})


if __name__ == "__main__":
    main()
