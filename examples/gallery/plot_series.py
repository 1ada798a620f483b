"""
Motion correction of a series
=============================

This example simulates a series of volumes with known motion of the head, estimates the motion, and warps the series to a
template through one composed map with one interpolation.
"""

# %%
# A series
# --------
# The series has a T2-like contrast of the MNI template in voxels of 4 mm.  The head drifts, nods, and moves abruptly once
# (volume 9).  Every volume has noise, and the intensity drifts: the last volume is 10 % brighter.

import tempfile
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
template, *maps = (nibabel.load(folder / name) for name in names)
t1, grey, white = (image.get_fdata() / 255 for image in (template, *maps))
t2 = gaussian_filter((t1 > 0) * (1 - grey - white) + 0.6 * grey + 0.4 * white, 1.5)

shape, count = (48, 56, 46), 16
affine = from_matvec(np.diag([-4.0, 4, 4]), [94, -128, -72])
voxels = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
random = np.random.default_rng(0)


def pose(k):
    """Where the head is in volume k: template world -> scanner world."""
    jerk = 3.0 * (k == 9)
    turn = [1.5 * np.sin(k / 3) + jerk, 0.05 * k, -0.5 * np.sin(k / 5)]  # degrees
    shift = [0.02 * k, 0.6 * np.sin(k / 4), 0.08 * k + jerk / 3]  # mm
    return from_matvec(Rotation.from_euler("xyz", turn, degrees=True).as_matrix(), shift)


def volume(k):
    """What the scanner sees."""
    there = apply_affine(np.linalg.inv(template.affine) @ np.linalg.inv(pose(k)), voxels)
    seen = map_coordinates(t2, np.moveaxis(there, -1, 0), order=1)
    return (1 + 0.1 * k / count) * seen + 0.01 * random.standard_normal(shape)


series = np.stack([volume(k) for k in range(count)], axis=-1).astype(np.float32)
image = nibabel.Nifti1Image(series, affine)
image.header.set_zooms((4, 4, 4, 2.0))

# %%
# Alignment
# ---------
# The first line lists possible problems, volume by volume.  The folder contains the aligned series, its mean, and the motion as
# BIDS confounds.

motion = varreg.align_series(image, reference=0)
print(motion)

out = Path(tempfile.mkdtemp())
motion.save(out / "motion")
print(sorted(file.name for file in (out / "motion").iterdir()))
print((out / "motion" / "desc-confounds_timeseries.tsv").read_text().splitlines()[:3])

# %%
# Error
# -----
# The true map from volume 0 to volume k is ``pose(k)`` after the inverse of ``pose(0)``.

true = np.array([pose(k) @ np.linalg.inv(pose(0)) for k in range(count)])
brain = apply_affine(affine, np.argwhere(series[..., 0] > 0.2)[::50])
distance = [
    np.linalg.norm(apply_affine(a, brain) - apply_affine(b, brain), axis=1).max()
    for a, b in zip(motion.affines, true, strict=True)
]
turned = Rotation.from_matrix(np.swapaxes(true, 1, 2)[:, :3, :3] @ motion.affines[:, :3, :3])
print(f"largest distance over the brain: {max(distance):.3f} mm")
print(f"largest angle: {np.rad2deg(turned.magnitude()).max():.3f} degrees")

# %%
# Series to template in one interpolation
# ---------------------------------------
# The mean of the aligned series is registered to the template.  Then one call warps every volume through both maps; on the
# command line this is ``varreg apply -t REGISTERED -t motion SERIES -o OUT``.

t1_coarse = nibabel.Nifti1Image(
    gaussian_filter(t1, 1.5)[::4, ::4, ::4], template.affine @ np.diag([4, 4, 4, 1])
)
to_template = varreg.solve(out / "motion" / "mean.nii.gz", t1_coarse)
varreg.apply_series(image, [to_template, motion], out / "template.nii.gz")
normalised = nibabel.load(out / "template.nii.gz").get_fdata()
aligned = nibabel.load(out / "motion" / "aligned.nii.gz").get_fdata()
print("in the space of the template:", normalised.shape)

# %%
# Pictures
# --------
# Above: a line of voxels through the edge of the head over all volumes, before and after alignment.  Below: the estimated motion, with
# the true motion as dots.

numbers = motion.parameters
truth = varreg.AlignedSeries(
    motion.grid, true, "rigid", 0, motion.head, *3 * [np.ones(count)]
).parameters
figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained")
for ax, title, values in zip(axes[0], ("before", "after"), (series, aligned), strict=True):
    ax.imshow(values[24, 28], cmap="gray", aspect="auto", origin="lower")
    ax.set(title=title, xlabel="volume", ylabel="up")
for ax, part, unit in ((axes[1, 0], slice(3), "mm"), (axes[1, 1], slice(3, 6), "degrees")):
    scale = 1 if unit == "mm" else np.rad2deg(1)
    for axis, colour in zip(range(3), ("#b06a00", "#1f5fa8", "#3c8d40"), strict=True):
        ax.plot(scale * numbers[:, part][:, axis], color=colour, label="xyz"[axis])
        ax.plot(scale * truth[:, part][:, axis], ".", color=colour)
    ax.set(xlabel="volume", ylabel=unit)
axes[1, 0].legend(fontsize="small")
plt.show()
