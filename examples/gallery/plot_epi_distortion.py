"""
EPI distortion: displacement along one axis
===========================================

Inhomogeneity of the magnetic field displaces EPI along the phase-encoding axis, by millimetres above the sinuses and
the ears, and the signal piles up where the image is compressed.  Without a field map, EPI can be corrected by registration to a T1 of the
same head.  There is no physical displacement along the other axes, so the map should have none either.
"""

# %%
# An EPI with known distortion
# ----------------------------
# The image is a sagittal slice whose first axis, from back to front, is the phase-encoding axis.  The signal of x appears at x + b(x), and
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
# Registration without and with the restriction
# ---------------------------------------------
# ``axes="i"`` restricts the displacement to the first axis of the fixed array: the other component is
# exactly zero.  ``axes=(1, 0.1)`` would penalise it instead: displacement along an axis of weight w costs 1 / w^2 times the
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
# Intensity correction
# --------------------
# ``modulate=True`` multiplies by the change of volume, which removes the bright rims of piled-up signal.

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
# On the command line: ``varreg register epi.nii.gz t1.nii.gz -o corrected --axes j``, then
# ``varreg apply corrected epi.nii.gz -o signal.nii.gz --modulate``.  The axes are those of the fixed array, here the T1.  If
# it is oblique to the EPI, resample it to the grid of the EPI first, or use the EPI as the fixed image; then
# ``result.inverse().warp(epi, modulate=True)`` is the corrected EPI.  Without ``affine=None`` a rigid map is compared with
# the position from the headers, and the one of lower energy is used; the distortion often biases a rigid map.
