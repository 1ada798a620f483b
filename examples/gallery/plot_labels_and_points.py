"""
Labels and landmarks in both directions
=======================================

A registration is one map, fixed -> moving.  It warps images and labels of the moving side to the fixed grid, and
maps points of the fixed side to the moving side; ``inverse()`` does the opposite.  Here
the true map is known, and the error of each of the four operations is measured.
"""

# %%
# Two volumes with different headers
# ----------------------------------
# The phantom provides two contrasts of one brain, their labels, and the true map in voxels.  The headers are simulated:
# voxels of 2 mm with the first axis to the left, and for the moving image a head rotated by 10 degrees and
# shifted by 12 mm.

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from nibabel.affines import apply_affine

import varreg
from varreg.data.phantom import deformed_pair
from varreg.data.phantom.anatomy import LABELS

pair = deformed_pair((64, 80, 64), np.random.default_rng(5))
to_world = np.array([[-2.0, 0, 0, 80], [0, 2, 0, -100], [0, 0, 2, -70], [0, 0, 0, 1]])
turn = np.deg2rad(10)
scanner = np.eye(4)
scanner[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
scanner[:3, 3] = [8, -8, 4]
fixed = nibabel.Nifti1Image(pair.fixed, to_world)
moving = nibabel.Nifti1Image(pair.moving, scanner @ to_world)
labels_fixed = nibabel.Nifti1Image(pair.labels_fixed, fixed.affine)
labels_moving = nibabel.Nifti1Image(pair.labels_moving, moving.affine)

result = varreg.solve(moving, fixed)
print(result)

# %%
# Landmarks with known positions
# ------------------------------
# The landmarks are twelve voxels of the fixed brain.  The true map gives the corresponding voxels of the moving image; the headers
# convert both to world positions.

random = np.random.default_rng(0)
brain = np.argwhere(pair.mask & (pair.labels_fixed > 1))
voxels = random.choice(brain, 12, replace=False)
true_voxels = voxels + pair.displacement[(slice(None), *voxels.T)].T
landmarks = apply_affine(fixed.affine, voxels)
true_landmarks = apply_affine(moving.affine, true_voxels)


def distance(first, second):
    """Mean and largest distance between points in mm, as text."""
    length = np.linalg.norm(first - second, axis=1)
    return f"mean {length.mean():.2g} mm, largest {length.max():.2g} mm"


# %%
# Points
# ------
# ``points`` maps points of the *fixed* image, one per row, to the moving image: by default in
# world millimetres (RAS+), with ``space="voxel"`` from indices of the fixed array to those of the moving array.

found = result.points(landmarks)
print("as the headers have it:", distance(landmarks, true_landmarks))
print("fixed -> moving:", distance(found, true_landmarks))

same = apply_affine(moving.affine, result.points(voxels, space="voxel"))
print("the same by voxels:", distance(same, found))

# %%
# The inverse maps points in the other direction.  It is solved at each point, so both maps together return the original points.

inverse = result.inverse()
print(inverse)
print("moving -> fixed:", distance(inverse.points(true_landmarks), landmarks))
print("there and back:", distance(inverse.points(found), landmarks))

# %%
# Registration with fixed and moving exchanged gives another map, which minimises another energy.  It is close to the inverse,
# but does not return points exactly to their origin.

other = varreg.solve(fixed, moving)
print("the other result, from there back:", distance(other.points(found), landmarks))

# %%
# Labels
# ------
# ``result.warp_labels`` warps labels of the moving side to the fixed grid, and ``inverse.warp_labels`` those of the fixed side to the
# moving grid.  Label values are never interpolated: each voxel takes the label with the largest share around its point,
# or with ``rule="nearest"`` that of the nearest voxel.  State the rule when you report Dice.


def dice(first, second):
    """Overlap of each structure."""
    return {
        name: 2 * np.sum((first == k) & (second == k)) / (np.sum(first == k) + np.sum(second == k))
        for name, k in LABELS.items()
        if name != "background"
    }


headers = varreg.Transform(result.transform.fixed, result.transform.moving, np.eye(4))
there = result.warp_labels(labels_moving)
back = inverse.warp_labels(labels_fixed)
scores = {
    "before": dice(headers.warp_labels(labels_moving), pair.labels_fixed),
    "moving labels on fixed": dice(there, pair.labels_fixed),
    "by nearest voxel": dice(result.warp_labels(labels_moving, "nearest"), pair.labels_fixed),
    "fixed labels on moving": dice(back, pair.labels_moving),
    "there and back": dice(inverse.warp_labels(there), pair.labels_moving),
}
print(f"{'Dice':<24}" + "".join(f"{name:>14}" for name in LABELS if name != "background"))
for name, row in scores.items():
    print(f"{name:<24}" + "".join(f"{score:14.3f}" for score in row.values()))

# %%
# Points return to within the tolerance.  Labels do not, because each warp resamples them on another grid.  Therefore store landmarks as
# points, and warp labels only once, from the image on which they were drawn.

# %%
# Files and the command line
# --------------------------
# The command line does the same with a saved result.  ``--points`` accepts a table with the columns x, y, z; other columns
# are not changed.

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
result.save(folder / "registered")
nibabel.save(labels_moving, folder / "labels.nii.gz")
with open(folder / "landmarks.csv", "w", newline="") as stream:
    csv.writer(stream).writerows([["name", "x", "y", "z"]])
    csv.writer(stream).writerows([f"p{n}", *map(float, row)] for n, row in enumerate(landmarks))

for line in (
    "varreg apply registered landmarks.csv --points world -o in-moving.csv",
    "varreg apply registered in-moving.csv --points world --inverse -o back.csv",
    "varreg apply registered labels.nii.gz --labels -o labels-on-fixed.nii.gz",
):
    print(line)
    subprocess.run([sys.executable, "-m", *line.split()], cwd=folder, check=True)


def read(name):
    """The coordinates of a table."""
    return np.loadtxt(folder / name, delimiter=",", skiprows=1, usecols=(1, 2, 3))


print("the table:", distance(read("in-moving.csv"), found))
print("and back:", distance(read("back.csv"), landmarks))
written = np.asarray(nibabel.load(folder / "labels-on-fixed.nii.gz").dataobj)
print("labels that differ:", np.sum(written != there))
temporary.cleanup()

# %%
# Pictures
# --------
# One slice of the fixed grid: the warped moving image, the borders of its ventricles and deep nuclei in colour,
# and those of the fixed image in white.  On the right are the errors of the landmarks; those of the inverse end at its tolerance.

middle = 34
figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained", width_ratios=(1, 1, 1.2))
shown = {"as the headers have it": headers, "registered": result}
for ax, (title, map_) in zip(axes, shown.items(), strict=False):
    ax.imshow(map_.warp(moving)[:, :, middle].T, cmap="gray", origin="lower")
    carried = map_.warp_labels(labels_moving)[:, :, middle]
    for label, colour in ((LABELS["ventricle"], "tab:cyan"), (LABELS["deep grey"], "tab:orange")):
        own = pair.labels_fixed[:, :, middle]
        ax.contour(own.T == label, [0.5], colors="white", linewidths=2.5)
        ax.contour(carried.T == label, [0.5], colors=colour, linewidths=1.5)
    ax.set_title(title)
    ax.axis("off")
errors = {
    "headers": landmarks - true_landmarks,
    "fixed ->\nmoving": found - true_landmarks,
    "moving ->\nfixed": inverse.points(true_landmarks) - landmarks,
    "there and\nback": inverse.points(found) - landmarks,
}
for place, vectors in enumerate(errors.values()):
    spread = place + np.linspace(-0.25, 0.25, len(vectors))
    axes[2].plot(spread, np.linalg.norm(vectors, axis=1), "o", ms=4)
axes[2].set(yscale="log", title="error of each landmark, mm")
axes[2].set_xticks(range(len(errors)), errors)
plt.show()
