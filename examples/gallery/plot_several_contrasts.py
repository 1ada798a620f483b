"""
Multi-channel registration
==========================

One contrast shows the ventricles and the surface, another the border of grey and white matter.  If both contrasts
are available for two people, one map can use both: the similarity is the weighted mean over the pairs of images.
"""

# %%
# Two people with two contrasts each
# ----------------------------------
# The second person is the first one, deformed by a known map and with different contrasts, so that the true map is known.  One
# contrast of each person shows fluid, the other one white matter; neither determines the map completely.

from importlib.resources import files

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
t1, grey, white = (nibabel.load(folder / name).get_fdata()[:, :, 90] / 255 for name in names)
head = t1 > 0
fluid, tissue = head * (1.0 - grey - white), head * (0.4 + 0.6 * white)
x = np.indices(t1.shape)
waves = (2 * np.pi * axis / size for axis, size in zip(x[::-1], t1.shape[::-1], strict=True))
bend = np.stack([3 * np.sin(3 * wave) for wave in waves])

noise = np.random.default_rng(0)
moving = [image + 0.03 * noise.normal(size=image.shape) for image in (fluid, tissue)]
fixed = [
    map_coordinates(image, x + bend, order=1) + 0.03 * noise.normal(size=image.shape)
    for image in (head * (1 - 0.8 * fluid), head - 0.5 * tissue)
]

# %%
# Each contrast alone, and both
# -----------------------------
# Two lists of equal length are compared pair by pair: the first image with the first, the second with the second.
# ``weights=(2, 1)`` would give the first pair twice the weight.  ``print(both)`` lists the contribution of each pair.

inside = map_coordinates(head * 1.0, x + bend, order=0) > 0
settings = dict(affine=None, deformable=True)


def error(result):
    """Mean error within the head, in voxels."""
    return float(np.linalg.norm(result.displacement - bend, axis=0)[inside].mean())


found = {
    "fluid": varreg.solve(moving[0], fixed[0], **settings),
    "white matter": varreg.solve(moving[1], fixed[1], **settings),
    "both": varreg.solve(moving, fixed, **settings),
}
for name, result in found.items():
    print(f"{name:12} {error(result):.2f} voxels")
both = found["both"]
for channel in both.channels:
    print(channel)

# %%
# ``result.warped`` is the first moving image; ``result.warp`` warps any other image by the same map.

figure, axes = plt.subplots(2, 3, figsize=(9, 7))
for row, warped, here in zip(axes, (both.warped, both.warp(moving[1])), fixed, strict=True):
    for place, (title, image) in zip(
        row,
        (("fixed", here), ("moving, brought over", warped)),
        strict=False,
    ):
        place.imshow(np.asarray(image).T, cmap="gray", origin="lower")
        place.set(title=title, xticks=[], yticks=[])
largest = 3.0
for place, name in zip(axes[:, 2], ("fluid", "both"), strict=True):
    difference = np.linalg.norm(found[name].displacement - bend, axis=0) * inside
    shown = place.imshow(difference.T, origin="lower", vmin=0, vmax=largest, cmap="magma")
    place.set(title=f"error, {name} (voxels)", xticks=[], yticks=[])
    figure.colorbar(shown, ax=place, shrink=0.7)
figure.tight_layout()
plt.show()

# %%
# On the command line: ``varreg register t2.nii.gz t1.nii.gz --also flair.nii.gz t1c.nii.gz -o both --weights 2,1``.
