"""Templates of the same people by varreg and ANTs.

    python examples/benchmarks/template.py --data MANIFEST --spacing 2 --people 8

MANIFEST is that of people.py.  All heads are resampled to one field of view, with aligned centres, so that both tools start
from the same images.  ANTs runs with the defaults of its function: three rounds of SyN.  A row: mean Dice between people
(all pairs) on the template over all labels and over cortical labels, the correlation of people with the template, its
sharpness relative to them, and processor and wall time in seconds; the tools run in separate processes, in sequence,
with the given number of threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from choices import add_runs, parser, write_json
from machine import describe, summary
from people import overlap, padded, person
from tables import markdown

TOOLS = ("varreg", "varreg-quick", "ants")
#: Settings of varreg besides its defaults.
SETTINGS: dict[str, dict[str, Any]] = {
    "varreg": {},
    "varreg-quick": {
        "rounds": ("rigid", "affine", "deformable"),
        "iterations": (8, 8, 4),
    },
}


def cohort(manifest: Path, spacing: float, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and labels of the first people, in one field of view."""
    content = json.loads(manifest.read_text())
    names = sorted(content["subjects"])[:count]
    read = [person(content["subjects"][name], manifest.parent, spacing) for name in names]
    shape = tuple(max(sizes) + 8 for sizes in zip(*(image.shape for image, _ in read), strict=True))
    return [padded(image, shape) for image, _ in read], [padded(each, shape) for _, each in read]


def by_varreg(
    images: Sequence[np.ndarray], labels: Sequence[np.ndarray], given: argparse.Namespace
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray], dict[str, float]]:
    """The template, what lies on it of images and labels, and the times."""
    import varreg

    people = [varreg.Image.from_array(image, spacing=given.spacing) for image in images]
    small = [varreg.Image.from_array(i[::3, ::3, ::3].copy(), spacing=3.0) for i in images[:2]]
    varreg.build_template(small, threads=given.threads, progress=False)  # compiles
    begun = time.perf_counter(), time.process_time()
    settings = SETTINGS[given.tool]
    found = varreg.build_template(people, threads=given.threads, progress=False, **settings)
    times = since(begun)
    print(found, file=sys.stderr)
    carried = [
        each.warp_labels(label, "nearest")
        for each, label in zip(found.transforms, labels, strict=True)
    ]
    return found.image.data, found.warp(people), carried, times


def by_ants(
    images: Sequence[np.ndarray], labels: Sequence[np.ndarray], given: argparse.Namespace
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray], dict[str, float]]:
    """The same by ANTs; the maps are those of its last round."""
    import ants

    people = [ants.from_numpy(image, spacing=(given.spacing,) * 3) for image in images]
    marks = [
        ants.from_numpy(label.astype(np.float32), spacing=(given.spacing,) * 3) for label in labels
    ]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter(), time.process_time()
        found = ants.build_template(image_list=people, output_dir=folder)
        times = since(begun)
        maps = [
            [f"{folder}/img{k:04d}/out1Warp.nii.gz", f"{folder}/img{k:04d}/out0GenericAffine.mat"]
            for k in range(len(people))
        ]
        warped = [
            ants.apply_transforms(found, each, files).numpy()
            for each, files in zip(people, maps, strict=True)
        ]
        carried = [
            ants.apply_transforms(found, each, files, interpolator="nearestNeighbor").numpy()
            for each, files in zip(marks, maps, strict=True)
        ]
    return found.numpy(), warped, [each.astype(int) for each in carried], times


def since(begun: tuple[float, float]) -> dict[str, float]:
    """Seconds of the clock and of the processor."""
    return {"clock": time.perf_counter() - begun[0], "processor": time.process_time() - begun[1]}


def scores(
    template: np.ndarray, warped: list[np.ndarray], labels: list[np.ndarray], spacing: float
) -> dict[str, float]:
    """Overlap of all pairs, correlation, sharpness."""
    pairs = list(itertools.combinations(labels, 2))
    both = np.array([overlap(one, other, spacing**3) for one, other in pairs])
    head = np.mean(warped, axis=0) > 0.1
    alike = [np.corrcoef(each[head], template[head])[0, 1] for each in warped]
    slope = [np.linalg.norm(np.gradient(each), axis=0)[head].mean() for each in (template, *warped)]
    levels = [each[head].std() for each in (template, *warped)]
    relative = np.array(slope) / np.array(levels)
    return {
        "dice": float(both[:, 0].mean()),
        "cortex": float(both[:, 1].mean()),
        "correlation": float(np.mean(alike)),
        "sharpness": float(relative[0] / relative[1:].mean()),
    }


def measured(tool: str, given: argparse.Namespace) -> dict[str, float]:
    """All figures of a tool."""
    images, labels = cohort(given.data, given.spacing, given.people)
    build = by_varreg if tool in SETTINGS else by_ants
    *found, times = build(images, labels, given)
    return {**scores(*found, given.spacing), **times}


def measured_apart(tool: str, given: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "found.json"
        command = [
            sys.executable, __file__, "--tool", tool, "--data", str(given.data), "--spacing", str(given.spacing),
            "--people", str(given.people), "--threads", str(given.threads), "--json", str(answer),
        ]  # fmt: skip
        threads = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(given.threads)}
        subprocess.run(command, stdout=sys.stderr, env={**os.environ, **threads}, check=True)
        return json.loads(answer.read_text())  # type: ignore[no-any-return]


def main() -> None:
    """The command line."""
    target = parser(__doc__)
    target.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    target.add_argument("--spacing", type=float, default=2.0, help="mm")
    target.add_argument("--people", type=int, default=8, metavar="N")
    target.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    add_runs(target)
    given = target.parse_args()
    if given.tool:
        write_json(given.json, measured(given.tool, given))
        return
    found: dict[str, Any] = {tool: measured_apart(tool, given) for tool in TOOLS}
    machine = describe()
    print(
        f"{summary(machine)}\n{given.people} people of {given.data.parent.name} at {given.spacing:g} mm\n"
    )
    header = ("tool", "Dice", "cortex", "correlation", "sharpness", "processor (s)", "clock (s)")
    keys = ("dice", "cortex", "correlation", "sharpness", "processor", "clock")
    rows = [
        [tool, *(f"{each[k]:.3f}" if k in keys[:4] else f"{each[k]:.0f}" for k in keys)]
        for tool, each in found.items()
    ]
    print(markdown(header, rows))
    write_json(given.json, {"machine": machine, "found": found})


if __name__ == "__main__":
    main()
