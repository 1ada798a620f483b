"""
Distorted EPI: a displacement along one axis
============================================

Where the field of a scanner is uneven, EPI is displaced along its phase-encoding axis, by millimetres above the sinuses and
the ears, and its signal piles up where it is squeezed.  Without a field map, a T1 of the same head can tell where things
belong.  The physics says that nothing moves along the other axes; so the map should not either.
"""

# %%
# An EPI whose distortion is known
# --------------------------------
# A sagittal slice; the first axis is the phase-encoding one, from back to front.  What is at x appears at x + b(x), and
# its intensity is divided by 1 + b'(x).

from importlib.resources import files

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
t1, grey, white = (nibabel.load(folder / name).get_fdata()[84] / 255 for name in names)
head = t1 > 0
t2 = head * (1 - grey - white) + 0.6 * grey + 0.4 * white

y, z = np.indices(t1.shape).astype(float)
b = 7 * np.exp(-((y - 190) ** 2 + (z - 50) ** 2) / 1200) - 5 * np.exp(
    -((y - 100) ** 2 + (z - 40) ** 2) / 900
)
before = y.copy()
for _ in range(100):  # where what is seen at y was before
    before = y - map_coordinates(b, [before, z], order=1, mode="nearest")
squeeze = 1 + map_coordinates(np.gradient(b, axis=0), [before, z], order=1, mode="nearest")
epi = gaussian_filter(map_coordinates(t2, [before, z], order=1) / squeeze, 1.0)
epi += 0.02 * np.random.default_rng(0).normal(size=epi.shape)

# %%
# Free, and along one axis
# ------------------------
# ``axes="i"`` lets the displacement point along the first axis of the fixed array only: the other component is
# exactly zero.  ``axes=(1, 0.1)`` would make it dear instead: moving along an axis of weight w costs 1 / w^2 times the
# smoothness.


def error(result):
    """Mean error within the head, in voxels."""
    difference = result.displacement - np.stack([b, 0 * b])
    return float(np.linalg.norm(difference, axis=0)[head].mean())


print(f"{'before':12} {np.abs(b)[head].mean():.2f} voxels")
free = varreg.solve(epi, t1, affine=None, deformable=True)
along = varreg.solve(epi, t1, affine=None, axes="i")
for name, result in (("free", free), ("along i", along)):
    print(f"{name:12} {error(result):.2f} voxels")
print("largest component along j:", np.abs(along.u[1]).max())

# %%
# The signal, too
# ---------------
# ``modulate=True`` multiplies by the change of volume: bright rims where signal piled up go.

plain, modulated = along.warp(epi), along.warp(epi, modulate=True)
inside = gaussian_filter(head * 1.0, 2) > 0.9
for name, image in (("plain", plain), ("modulated", modulated)):
    apart = np.abs(image - gaussian_filter(t2, 1.0))[inside].mean()
    print(f"{name:10} differs from the undistorted image by {apart:.3f} on average")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4))
for place, (title, image) in zip(
    axes,
    (("T1", t1), ("EPI", epi), ("corrected", modulated), ("displacement along i", along.u[0])),
    strict=True,
):
    colours = dict(cmap="gray") if title[0] != "d" else dict(cmap="RdBu", vmin=-8, vmax=8)
    place.imshow(np.asarray(image).T, origin="lower", **colours)
    place.set(title=title, xticks=[], yticks=[])
figure.tight_layout()
plt.show()

# %%
# From the command line: ``varreg register epi.nii.gz t1.nii.gz -o corrected --axes j``, then
# ``varreg apply corrected epi.nii.gz -o signal.nii.gz --modulate``.  The axes are those of the fixed array, here the T1: if
# it lies obliquely to the EPI, bring it to the grid of the EPI first, or make the EPI the fixed image; then
# ``result.inverse().warp(epi, modulate=True)`` is the corrected EPI.  Without ``affine=None`` a rigid map is tried as well
# as the headers, and whichever ends at less energy is taken: a rigid map that is fitted to distorted images is often led
# astray by the distortion.
