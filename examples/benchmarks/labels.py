"""Multi-atlas segmentation: label fusion of varreg.label and ANTs, on the same registrations.

    python examples/benchmarks/labels.py --data MANIFEST --spacing 2 --targets 3 --atlases 5

MANIFEST is that of people.py.  Each of the first participants is labelled by the following ones, registered by varreg;
all fusion methods use the same warped images and labels.  A row: mean Dice over all labels and over cortical labels, and
processor time of the fusion in seconds.  "one atlas" is the mean over the atlases used singly.  ANTs runs with its
defaults, and the mask recommended in its help: the union of the atlas labels, slightly dilated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from choices import add_runs, parser, write_json
from machine import describe, summary
from people import overlap, padded, person
from scipy import ndimage as ndi
from tables import markdown

Votes = tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]


def on_target(given: argparse.Namespace, number: int) -> tuple[Votes, np.ndarray, float]:
    """The target and the atlases on it; its own labels; seconds of the registrations."""
    import varreg

    content = json.loads(given.data.read_text())
    names = sorted(content["subjects"])
    chosen = [names[(number + k) % len(names)] for k in range(given.atlases + 1)]
    read = [person(content["subjects"][name], given.data.parent, given.spacing) for name in chosen]
    shape = tuple(max(sizes) + 8 for sizes in zip(*(image.shape for image, _ in read), strict=True))
    images = [varreg.Image.from_array(padded(i, shape), spacing=given.spacing) for i, _ in read]
    labels = [padded(each, shape) for _, each in read]
    begun = time.process_time()
    results = varreg.solve_batch(
        [(image, images[0]) for image in images[1:]], affine="affine", deformable=True, regularity="fine",
        threads=given.threads, processes=0, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - begun
    carried = [r.warp_labels(each) for r, each in zip(results, labels[1:], strict=True)]
    warped = [np.asarray(result.warped.values) for result in results]
    return (images[0].data, warped, carried), labels[0], seconds


def by_varreg(method: str) -> Callable[[Votes], np.ndarray]:
    """A fusion of varreg."""

    def fused(votes: Votes) -> np.ndarray:
        from varreg.atlas.fusion import fuse

        return fuse(*votes, method, 2)[0]

    return fused


def by_ants(votes: Votes) -> np.ndarray:
    """ANTs' joint label fusion."""
    import ants

    target, images, labels = votes
    mask = ndi.binary_dilation(np.any([each > 0 for each in labels], axis=0))
    found = ants.joint_label_fusion(
        ants.from_numpy(target),
        ants.from_numpy(mask.astype(np.float32)),
        [ants.from_numpy(image) for image in images],
        label_list=[ants.from_numpy(each.astype(np.float32)) for each in labels],
    )
    return np.rint(found["segmentation"].numpy()).astype(int)


FUSIONS = {
    "majority": by_varreg("majority"),
    "local": by_varreg("local"),
    "ANTs joint label fusion": by_ants,
}


def measured(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Dice and seconds of every fusion on every target."""
    found = []
    for number in range(given.targets):
        votes, truth, seconds = on_target(given, number)
        voxel = given.spacing**3
        alone = np.mean([overlap(truth, each, voxel) for each in votes[2]], axis=0)
        rows = {"one atlas": (*map(float, alone), seconds)}
        for name, fusion in FUSIONS.items():
            begun = time.process_time()
            labels = fusion(votes)
            took = time.process_time() - begun
            rows[name] = (*overlap(truth, labels.astype(int), voxel), took)
        found.append({"target": number, "rows": rows})
    return found


def main() -> None:
    """The command line."""
    target = parser(__doc__)
    target.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    target.add_argument("--spacing", type=float, default=2.0, help="mm")
    target.add_argument("--targets", type=int, default=3, metavar="N")
    target.add_argument("--atlases", type=int, default=5, metavar="N", help="for each target")
    add_runs(target)
    given = target.parse_args()
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(given.threads)  # before ANTs is loaded
    found = measured(given)
    machine = describe()
    print(
        f"{summary(machine)}\n{given.targets} targets, {given.atlases} atlases each, {given.spacing:g} mm\n"
    )
    mean = {
        name: np.mean([each["rows"][name] for each in found], axis=0) for name in found[0]["rows"]
    }
    rows = [[name, f"{d:.3f}", f"{c:.3f}", f"{s:.1f}"] for name, (d, c, s) in mean.items()]
    print(markdown(("fusion", "Dice", "cortex", "processor (s)"), rows))
    write_json(given.json, {"machine": machine, "found": found})


if __name__ == "__main__":
    main()
