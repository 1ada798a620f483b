"""
Two slices of different contrast
================================

This minimal example registers a slice with T2-like contrast to a T1 slice of the same brain.  The
true map is known, so the error can be measured.  The pictures that follow serve for inspection when the true map is
not known.
"""

# %%
# A pair with a known map
# -----------------------
# nilearn contains the T1 template and maps of grey and white matter.  From the maps we generate an image with
# bright fluid, like T2.  The T1 is rotated and deformed with a contraction in the middle, and noise is added to both.  ``moving`` at
# ``x + truth`` shows the same point as ``fixed`` at ``x``: the map goes from fixed to moving.

import tempfile
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
t1, grey, white = (nibabel.load(folder / name).get_fdata()[88] / 255 for name in names)  # sagittal
brain = t1 > 0
t2 = brain * (1 - grey - white) + 0.6 * grey + 0.4 * white

x = np.indices(t1.shape)
centre = np.reshape(t1.shape, (2, 1, 1)) / 2
angle = np.deg2rad(8)
turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
bend = 4 * np.sin(2 * np.pi * x[::-1] / np.reshape(t1.shape[::-1], (2, 1, 1)))
middle = x - np.reshape([125, 95], (2, 1, 1))
bend += 0.3 * middle * np.exp(-(middle**2).sum(0) / (2 * 18**2))
truth = np.tensordot(turn, x + bend - centre, 1) + centre - x

random = np.random.default_rng(0)
moving = t2 + random.normal(0, 0.02, t2.shape)
fixed = map_coordinates(t1, x + truth, order=1) + random.normal(0, 0.02, t1.shape)
inside = map_coordinates(brain.astype(float), x + truth, order=1) > 0.5

# %%
# Registration
# ------------
# No options are required: the contrasts may differ, and an affine map is estimated before the deformation.  The printed
# result reports the energy, the reason for stopping and whether the map folds.

result = varreg.solve(moving, fixed)
print(result)

# %%
# Error
# -----

before = np.linalg.norm(truth, axis=0)
after = np.linalg.norm(result.displacement - truth, axis=0)
for name, error in (("before", before), ("after", after)):
    low, high = np.percentile(error[inside], [50, 95])
    most = error[inside].max()
    print(f"{name}: median {low:.2f}, 95 % below {high:.2f}, at most {most:.2f} voxels")

# %%
# Checkerboards
# -------------
# A checkerboard shows tiles of both images alternately.  It is suitable for inspection when the true map is not known: structures in a tile of
# the fixed image must continue in the neighbouring tile of the moving image.


def show(ax, image, title, **settings):
    """One slice, the front to the right and the top up."""
    picture = ax.imshow(np.rot90(image), **settings)
    ax.set_title(title)
    ax.axis("off")
    return picture


first = np.add(*(x // 24)) % 2 == 0
figure, axes = plt.subplots(2, 2, figsize=(10, 8.4), layout="constrained")
shown = (
    ("fixed", fixed),
    ("moving", moving),
    ("checkerboard, before", np.where(first, fixed, moving)),
    ("checkerboard, after", np.where(first, fixed, result.warped.data)),
)
for ax, (title, image) in zip(axes.flat, shown, strict=True):
    show(ax, image, title, cmap="gray", vmin=0, vmax=1)

# %%
# The map
# -------
# The lines of the fixed array are drawn at their positions in the moving image.  The Jacobian determinant is the local change
# of volume: it is 2 where a region of the fixed image corresponds to twice its area in the moving image, and at most 0 where a
# map folds.  ``smallest_determinant`` is a certified bound of the deformable part, also between voxels.
#
# The error is largest in and around the thalamus, where there is little structure.  There the smoothness term
# determines the map, and the change of volume is smaller than the true one.

found = result.jacobian()
(a, b), (c, d) = np.eye(2)[..., None, None] + [np.gradient(part) for part in truth]
there = x + result.displacement

figure, axes = plt.subplots(2, 2, figsize=(10, 8.4), layout="constrained")
show(axes[0, 0], moving, "lines of the fixed array in the moving image", cmap="gray", vmax=1.5)
for line in (*there[:, ::8].swapaxes(0, 1), *there[:, :, ::8].transpose(2, 0, 1)):
    axes[0, 0].plot(line[0], t1.shape[1] - 1 - line[1], color="gold", linewidth=0.6)
axes[0, 0].set(xlim=(0, t1.shape[0] - 1), ylim=(t1.shape[1] - 1, 0))
error = show(axes[0, 1], np.where(inside, after, np.nan), "error, voxels", vmin=0, vmax=2)
figure.colorbar(error, ax=axes[0, 1], shrink=0.7)
for ax, (title, values) in zip(axes[1], (("found", found), ("true", a * d - b * c)), strict=True):
    values = show(ax, values, f"Jacobian determinant, {title}", cmap="PuOr", vmin=0.4, vmax=1.6)
figure.colorbar(values, ax=axes[1], shrink=0.7)

print(f"Jacobian determinant at the voxels: {found.min():.2f} to {found.max():.2f}")
print(f"bound of the deformable part at every point: {result.smallest_determinant:.2f}")

# %%
# Saving and loading
# ------------------
# A saved result is a folder of NIfTI and JSON files.  The loaded result is bitwise identical.

with tempfile.TemporaryDirectory() as place:
    result.save(Path(place) / "registration")
    same = varreg.load(Path(place) / "registration")
print("the same map:", np.array_equal(same.displacement, result.displacement))
print("the fixed point (100, 90) is at", same.points([100, 90], space="voxel").round(2))

# %%
# Display in notebooks
# --------------------
# In a notebook a result is displayed at the end of a cell, as here.  ``result.plot("overview.png")``
# draws images, checkerboards, grid, determinant and energy in one figure, and ``result.report("report.html")``
# writes a page.

result
