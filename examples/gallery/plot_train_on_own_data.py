"""
Training on different people, with labels
=========================================

Many laboratories have images of many people, each in one or two contrasts, and label maps of some of them.  The true maps between
people are not known, so a network is trained on the energy, mutual information and smoothness, and on the overlap of the
labels.  Prediction needs no labels.  The script simulates all data and trains in less than a minute;
:doc:`the manifest </manifest>` describes the complete format.
"""

# %%
# The data
# --------
# Each of twelve people has a head, a brain, two ventricles and a nucleus on one side, with random size, position and
# deformation.  Half of them have a T1, the others a T2, in which other tissues are bright.  A label map marks brain,
# ventricles and nucleus.

import json
import tempfile
from itertools import permutations
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy import ndimage

import learned
from learned.config import preset, with_changes
from learned.data.manifest import read_manifest
from learned.train import train

SHAPE, VOXEL = (32, 36, 32), 5.0
HEAD, BRAIN, VENTRICLE, NUCLEUS = 1, 2, 3, 4
INTENSITY = {"T1": (0.0, 0.55, 0.8, 0.15, 0.6), "T2": (0.0, 0.3, 0.45, 0.95, 0.25)}


def anatomy(rng):
    """The structures of a person."""
    bend = np.stack([ndimage.gaussian_filter(rng.standard_normal(SHAPE), 5) for _ in SHAPE])
    middle = np.array(SHAPE).reshape(-1, 1, 1, 1) / 2 + rng.uniform(-1.5, 1.5, (3, 1, 1, 1))
    x = np.indices(SHAPE) - middle + bend * 1.5 / np.abs(bend).max()
    size = rng.uniform(0.85, 1.1, (3, 1, 1, 1))

    def inside(centre, radii):
        away = (x / size - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(radii, (3, 1, 1, 1))
        return (away**2).sum(0) < 1

    labels = HEAD * inside((0, 0, 0), (13, 15, 13)).astype(np.int16)
    labels[inside((0, 0, 1), (10, 12, 10))] = BRAIN
    for side in (-1, 1):
        place = (3 * side, rng.uniform(-1, 1), rng.uniform(1, 3))
        labels[inside(place, rng.uniform((1.5, 4, 2), (2.5, 6, 3.5)))] = VENTRICLE
    labels[inside((5, rng.uniform(2, 5), -3), (2.6, 3.2, 2.6))] = NUCLEUS
    return labels


def image_of(labels, contrast, rng):
    """What a scanner makes of it."""
    clear = ndimage.gaussian_filter(np.array(INTENSITY[contrast])[labels], 0.6)
    return (clear + 0.02 * rng.standard_normal(SHAPE)).astype(np.float32)


folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
entries = []
for number in range(12):
    rng = np.random.default_rng(number)
    contrast, labels = ("T1", "T2")[number % 2], anatomy(rng)
    name = f"person{number:02d}"
    for kind, data in (("image", image_of(labels, contrast, rng)), ("labels", labels)):
        shown = np.where(labels > HEAD, labels, 0).astype(np.int16) if kind == "labels" else data
        nibabel.save(
            nibabel.Nifti1Image(shown, np.diag([VOXEL] * 3 + [1])), root / f"{name}-{kind}.nii"
        )
    entries.append(
        {"id": name, contrast: f"{name}-image.nii", "labels": f"{name}-labels.nii"},
    )

# %%
# The manifest
# ------------
# The manifest has a line for each person.  It is read and validated before the training.

manifest = root / "manifest.json"
manifest.write_text(json.dumps(entries))
print(manifest.read_text()[:170], "...")
print(len(read_manifest(manifest)), "people")

# %%
# The training
# ------------
# ``data.people=1``: every pair is of two people.  ``loss.mutual_information`` and ``loss.smoothness`` are the energy,
# ``loss.dice`` is the weight of the overlap.  Four people are used for validation only.

held_out = [f"person{number:02d}" for number in (8, 9, 10, 11)]
config = with_changes(
    preset("laptop"),
    [
        f"train.output={root / 'run'}",
        "data.source=manifest",
        f"data.manifest={manifest}",
        f"data.validation_subjects={','.join(held_out)}",
        "data.people=1",
        f"data.spacing={VOXEL}",
        "data.rotation=5",
        "data.scaling=0",
        "data.shear=0",
        "data.shift=0.02",
        "data.amplitude=0.02",
        "data.pairs_per_epoch=140",
        "data.validation_pairs=8",
        "data.test_pairs=0",
        "model.dimension=3",
        "model.shape=32,36,32",
        "model.dt_width=6",
        "model.scales=2,1",
        "model.iterations=3,1",
        "loss.known_map=0",
        "loss.mutual_information=1",
        "loss.smoothness=0.1",
        "loss.dice=1",
        "optimiser.batch_size=2",
        "optimiser.epochs=2",
        "optimiser.learning_rate=3e-3",
        "optimiser.warm_up=10",
    ],
)
trained = train(config, progress=False, tensorboard=False)
for row in ("identity", "stage 2"):
    print(f"{row:10} Dice {trained.validation[row]['dice']:.3f}")

# %%
# Evaluation on held-out people
# -----------------------------
# The network receives the images only.  The labels are used for the evaluation: those of the moving person are warped by the map, and compared with the fixed ones.

NAMES = {BRAIN: "brain", VENTRICLE: "ventricles", NUCLEUS: "nucleus"}


def dice(first, second):
    """Overlap of each structure."""
    return [
        2 * ((first == k) & (second == k)).sum() / ((first == k).sum() + (second == k).sum())
        for k in NAMES
    ]


network = learned.load(trained.model)
found = []
for moving, fixed in permutations(held_out, 2):
    prediction = learned.predict(
        root / f"{moving}-image.nii", root / f"{fixed}-image.nii", model=network
    )
    theirs, ours = (nibabel.load(root / f"{name}-labels.nii") for name in (moving, fixed))
    there = np.asarray(ours.dataobj)
    found.append(
        (dice(np.asarray(theirs.dataobj), there), dice(prediction.warp_labels(theirs), there))
    )
before, after = np.mean(found, 0)
print(f"{len(found)} pairs of people that were held out: mean Dice")
for name, *values in zip(NAMES.values(), before, after, strict=True):
    print(f"{name:12} before {values[0]:.2f}, after {values[1]:.2f}")

# %%
# A slice of the last pair: outlines of the fixed labels in white, and of the moving labels before and after registration in colour.

maps = {
    "moving, before": np.asarray(theirs.dataobj),
    "moving, registered": prediction.warp_labels(theirs),
}
pictures = {
    "fixed": nibabel.load(root / f"{fixed}-image.nii").get_fdata(),
    "moving, before": nibabel.load(root / f"{moving}-image.nii").get_fdata(),
    "moving, registered": prediction.warped.data,
}
middle = SHAPE[2] // 2 + 2
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for ax, (title, volume) in zip(axes, pictures.items(), strict=True):
    ax.imshow(volume[..., middle], cmap="gray", vmin=0, vmax=1)
    for k, colour in zip(NAMES, ("tab:green", "tab:cyan", "tab:orange"), strict=True):
        ax.contour(there[..., middle] == k, [0.5], colors="white", linewidths=0.8)
        if title in maps:
            ax.contour(maps[title][..., middle] == k, [0.5], colors=colour, linewidths=1.4)
    ax.set_title(title)
    ax.axis("off")
plt.show()
folder.cleanup()

# %%
# Recommendations for useful networks
# -----------------------------------
# * Use real images of hundreds of people; ``loss.dice=0`` without labels.
# * Unaligned T1 and T2 of one person: ``"coincide": false`` in their entry.  Atlas to subject: ``data.atlas=ID``.
# * Datasets of MONAI or TorchIO are accepted directly: ``train(config, training=..., validation=...)``.
# * All details: :doc:`the manifest </manifest>` and :doc:`the learned cascade </learned>`.
