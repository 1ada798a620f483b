"""
A network predicts, the solver refines, both are certified
==========================================================

A network registers two images without a search, but it cannot say how wrong it is on *this* pair.  The solver
minimises a stated energy, so it can: it certifies what the network predicted, refines it, and certifies the
result.  The truth is known here, so that we can see what the certificates are worth.
"""

# %%
# Two images of one head
# ----------------------
# The T1 template comes with nilearn.  From its tissue maps we make an image with the contrast of T2, and bend
# and turn the T1 by a known map; the network, trained on other heads, has seen neither.

from importlib.resources import files

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

import learned
import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
t1, grey, white = (nibabel.load(folder / name).get_fdata()[:, :, 90] / 255 for name in names)
moving = (t1 > 0) * (1 - grey - white) + 0.6 * grey + 0.4 * white

x = np.indices(t1.shape)
centre = (np.array(t1.shape).reshape(2, 1, 1) - 1) / 2
angle, size = np.deg2rad(9), 1.05
turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
bent = x + 3 * np.sin(2 * np.pi * x[::-1] / np.reshape(t1.shape[::-1], (2, 1, 1)))
truth = np.tensordot(turn, bent - centre, 1) + centre + np.reshape([9, -6], (2, 1, 1)) - x
fixed = map_coordinates(t1, x + truth, order=1)


def error(displacement):
    """Mean distance to the known map within the head, voxels."""
    return np.linalg.norm(displacement - truth, axis=0)[fixed > 0].mean()


print(f"before: {error(0 * truth):.1f} voxels")

# %%
# The network
# -----------

prediction = learned.predict(moving, fixed)
print(f"network: {error(prediction.displacement):.1f} voxels")
print(prediction)

# %%
# What its answer is worth
# ------------------------
# The certificate knows nothing of the truth.  It says how much energy a refinement would still gain and how far
# that would move the map, whether anything folds, and what the similarity is worth beside that of shuffled voxels.

before = varreg.certify(moving, fixed, prediction)
print(before)

# %%
# The solver goes on from there
# -----------------------------

result = varreg.solve(moving, fixed, start=prediction)
print(f"refined: {error(result.displacement):.2f} voxels")
print(result)

# %%
# And its own answer
# ------------------
# There is almost nothing left to gain.  That is what a certificate can say; that the answer is also right, only
# the truth can, or a look at the images.

after = varreg.certify(moving, fixed, result)
print(after)

# %%
# A picture of all of it
# ----------------------

figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
shown = (
    ("fixed", fixed),
    ("moving", moving),
    ("network", prediction.warped.data),
    ("refined", result.warped.data),
)
for ax, (title, image) in zip(axes[0], shown, strict=True):
    ax.imshow(np.rot90(image), cmap="gray")
    ax.set_title(title)
    ax.axis("off")
errors = (
    ("before", 0 * truth),
    ("network", prediction.displacement),
    ("refined", result.displacement),
)
for ax, (title, displacement) in zip(axes[1], errors, strict=False):
    distance = np.where(fixed > 0, np.linalg.norm(displacement - truth, axis=0), np.nan)
    picture = ax.imshow(np.rot90(distance), vmin=0, vmax=6)
    ax.set_title(f"error {title}: {np.nanmean(distance):.2f} voxels")
    ax.axis("off")
figure.colorbar(picture, ax=axes[1, :3], label="voxels", shrink=0.8)
gains = [before.refinement.gain, after.refinement.gain]
axes[1, 3].bar(["network", "refined"], gains)
axes[1, 3].set_title("energy still to gain, nats")
plt.show()
