"""
Network prediction, refinement and certificates
===============================================

A network registers two images without optimisation, but does not estimate its error on *this* pair.  The solver
minimises an explicit energy, which also allows an assessment.  This example certifies the prediction of a network, refines it by the solver, and certifies the
result.  The true map is known, so the certificates can be compared with the true error.
"""

# %%
# Two images of one head
# ----------------------
# A sagittal slice of a T1 image is part of matplotlib.  The network was trained on other heads, and no parameter was
# chosen on this one.  We invert the contrast within the head, so that fluid is bright as in T2, add
# noise, and deform and rotate the T1 by a known map.  (Two contrasts of one image are an easier pair than two
# acquisitions, for which :doc:`the card of the network </brain-2d>` has figures.)

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates

import learned
import varreg

with get_sample_data("s1045.ima.gz") as file:
    t1 = np.frombuffer(file.read(), np.uint16).reshape(256, 256)[::-1].T.astype(float)
t1 = np.clip(t1 / np.percentile(t1, 99.5), 0, 1)
head = binary_fill_holes(gaussian_filter(t1, 1) > 0.05)
moving = head * (1.05 - t1) + 0.02 * np.random.default_rng(0).normal(size=t1.shape)

x = np.indices(t1.shape)
centre = (np.array(t1.shape).reshape(2, 1, 1) - 1) / 2
angle, size = np.deg2rad(9), 1.05
turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
bent = x + 3 * np.sin(2 * np.pi * x[::-1] / np.reshape(t1.shape[::-1], (2, 1, 1)))
truth = np.tensordot(turn, bent - centre, 1) + centre + np.reshape([9, -6], (2, 1, 1)) - x
fixed = map_coordinates(t1, x + truth, order=1)
inside = map_coordinates(head.astype(float), x + truth, order=1) > 0.5


def error(displacement):
    """Mean distance to the known map within the head, voxels."""
    return np.linalg.norm(displacement - truth, axis=0)[inside].mean()


print(f"before: {error(0 * truth):.1f} voxels")

# %%
# The network
# -----------

prediction = learned.predict(moving, fixed)
print(f"network: {error(prediction.displacement):.1f} voxels")
print(prediction)

# %%
# Certificate of the prediction
# -----------------------------
# The certificate does not use the true map.  It reports how much energy a refinement would still gain and how far
# it would move the map, whether the map folds, and how the similarity compares with that of permuted voxels.

before = varreg.certify(moving, fixed, prediction)
print(before)

# %%
# Refinement by the solver
# ------------------------

result = varreg.solve(moving, fixed, start=prediction)
print(f"refined: {error(result.displacement):.2f} voxels")
print(result)

# %%
# Certificate of the refined map
# ------------------------------
# The remaining gain is almost zero.  A certificate can show this, but not that the map is correct; that requires
# the true map or inspection of the images.

after = varreg.certify(moving, fixed, result)
print(after)

# %%
# Comparison in pictures
# ----------------------

figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
shown = (
    ("fixed", fixed),
    ("moving", moving),
    ("network", prediction.warped.data),
    ("refined", result.warped.data),
)
for ax, (title, image) in zip(axes[0], shown, strict=True):
    ax.imshow(image.T, cmap="gray", origin="lower")
    ax.set_title(title)
    ax.axis("off")
errors = (
    ("before", 0 * truth),
    ("network", prediction.displacement),
    ("refined", result.displacement),
)
for ax, (title, displacement) in zip(axes[1], errors, strict=False):
    distance = np.where(inside, np.linalg.norm(displacement - truth, axis=0), np.nan)
    picture = ax.imshow(distance.T, vmin=0, vmax=6, origin="lower")
    ax.set_title(f"error {title}: {np.nanmean(distance):.2f} voxels")
    ax.axis("off")
figure.colorbar(picture, ax=axes[1, :3], label="voxels", shrink=0.8)
gains = [before.refinement.gain, after.refinement.gain]
axes[1, 3].bar(["network", "refined"], gains)
axes[1, 3].set_title("energy still to gain, nats")
plt.show()
