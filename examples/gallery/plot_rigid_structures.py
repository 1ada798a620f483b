"""
Structures that keep their shape
================================

``fixed_mask`` excludes a region from the comparison (:doc:`plot_masks_and_lesions`), but the map may still deform it.
An implant, a bone, or a calcified or drained lesion has a fixed shape that the map should preserve: ``fixed_rigid_mask``.
"""

# %%
# An implant that rotates
# -----------------------
# The moving image has the contrast of T2, the fixed image is a T1.  The implant has stripes in the fixed image only, and
# the true map rotates it by 4 degrees while its surroundings are deformed.

from importlib.resources import files

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
t1, grey, white = (nibabel.load(folder / name).get_fdata()[:, :, 90] / 255 for name in names)
moving = (t1 > 0) * (1 - grey - white) + 0.6 * grey + 0.4 * white
x = np.indices(t1.shape)
bend = 3 * np.sin(2 * np.pi * x[::-1] / np.reshape(t1.shape[::-1], (2, 1, 1)))

place, radius = (70, 130), 16
away = x - np.reshape(place, (2, 1, 1))
distance = np.hypot(*away)
implant = distance < radius
angle = np.deg2rad(4)
turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) - np.eye(2)
carried = bend[:, place[0], place[1]].reshape(2, 1, 1) + np.tensordot(turn, away, 1)
free = np.clip((distance - radius) / 25, 0, 1)
free = free**2 * (3 - 2 * free)
truth = free * bend + (1 - free) * carried
stripes = 0.3 + 0.3 * np.sin(x[0] / 3) * np.sin(x[1] / 4)
fixed = np.where(implant, stripes, map_coordinates(t1, x + truth, order=1))
head = map_coordinates((t1 > 0) * 1.0, x + truth, order=0) > 0

# %%
# Three maps
# ----------
# The maps are *fine*, as between two people.


def report(name, map_):
    """Print the mean error within the head, near the implant, beyond, and inside; and how its lengths change."""
    error = np.linalg.norm(map_ - truth, axis=0)
    near = error[head & ~implant & (distance < radius + 10)].mean()
    far = error[head & (distance >= radius + 10)].mean()
    slopes = np.stack([np.stack(np.gradient(part)) for part in map_])
    gradient = np.moveaxis(slopes, (0, 1), (-2, -1)) + np.eye(2)
    change = np.abs(np.log(np.linalg.svd(gradient, compute_uv=False))).max(-1)[implant]
    print(
        f"{name:16} error {near:.2f} voxels near the implant, {far:.2f} far away, {error[implant].mean():.2f} inside; "
        f"its lengths change by {change.mean():.1%} on average, at most {change.max():.1%}"
    )


settings = {"affine": "rigid", "regularity": "fine"}
results = {
    "no mask": varreg.solve(moving, fixed, **settings),
    "fixed_mask": varreg.solve(moving, fixed, fixed_mask=~implant, **settings),
    "fixed_rigid_mask": varreg.solve(moving, fixed, fixed_rigid_mask=implant, **settings),
}
for name, result in results.items():
    report(name, result.displacement)
print(results["fixed_rigid_mask"].rigidity)

# %%
# Maps and errors around the implant, whose border is the white line.

i, j = (slice(n - 45, n + 45) for n in place)
maps = {"the truth": truth} | {name: result.displacement for name, result in results.items()}
figure, axes = plt.subplots(2, 4, figsize=(11.5, 5.8), layout="constrained")
for (above, below), (name, map_) in zip(axes.T, maps.items(), strict=True):
    above.imshow(fixed.T, cmap="gray", origin="lower")
    arrows = [part[i, j][3::8, 3::8] for part in (*x, *map_)]
    above.quiver(*arrows, color="tab:orange", angles="xy", scale_units="xy", scale=0.6)
    above.set_title(name)
    error = np.where(head, np.linalg.norm(map_ - truth, axis=0), np.nan)
    picture = below.imshow(error.T, vmin=0, vmax=4, origin="lower")
    below.set_title(f"error, {name}")
axes[1, 0].imshow(moving.T, cmap="gray", origin="lower")
axes[1, 0].set_title("moving")
for ax in axes.flat:
    ax.contour(*x, distance, levels=[radius], colors="white", linewidths=1)
    ax.set(xlim=(i.start, i.stop), ylim=(j.start, j.stop))
    ax.axis("off")
figure.colorbar(picture, ax=axes[1, :], label="voxels", shrink=0.8)
plt.show()

# %%
# Inside a rigid mask the structure rotates and shifts with its surroundings, and the constraint also improves the map around it.  The two kinds of
# masks can be combined.  ``moving_rigid_mask`` is for structures that only the moving image shows, such as a lesion of a patient who is
# registered to a template (:doc:`/guides`).
