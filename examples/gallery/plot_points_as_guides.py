"""
Registration guided by landmarks
================================

Where the images are ambiguous, an expert can identify corresponding anatomy.  A few landmarks in both images
guide the registration as a term of the energy, and between them the images determine the map.
"""

# %%
# Two slices with a large local displacement
# ------------------------------------------
# The second slice is the first one in another contrast, deformed by a known map that is steep in the middle; both are noisy.
# The displacement in the middle is larger than the distance between cortical folds.

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
moving = head * (1 - grey - white) + 0.6 * grey + 0.4 * white
x = np.indices(t1.shape).astype(float)
middle = np.exp(-((x[0] - 98) ** 2 + (x[1] - 120) ** 2) / (2 * 22**2))
bend = np.stack([3 + 0 * middle, 22 * middle])
random = np.random.default_rng(0)
fixed = map_coordinates(t1, x + bend, order=1) + 0.1 * random.normal(size=t1.shape)
moving += 0.1 * random.normal(size=moving.shape)
inside = map_coordinates(head * 1.0, x + bend, order=0) > 0

# %%
# Registration without and with points
# ------------------------------------
# Six points have a localisation error of one millimetre, as manual landmarks do.  ``points_weight`` is the cost in nats if all distances
# are 1 mm.

here = np.array([(98, 120), (80, 110), (116, 112), (98, 150), (85, 135), (112, 90)], float)
there = here + np.array([bend[:, int(a), int(b)] for a, b in here]) + random.normal(size=here.shape)


def error(result):
    """Mean error within the head, in voxels."""
    return float(np.linalg.norm(result.displacement - bend, axis=0)[inside].mean())


settings = dict(affine="rigid", deformable=True)
alone = varreg.solve(moving, fixed, **settings)
guided = varreg.solve(moving, fixed, moving_points=there, fixed_points=here, **settings)
for name, result in (("images alone", alone), ("with points", guided)):
    print(f"{name:13} {error(result):.2f} voxels")

# %%
# A misplaced point
# -----------------
# A point on the wrong side of the head is reported with its distance.  Its effect is limited by its share of the weight.

wrong = there.copy()
wrong[4] = (125, 140)
misled = varreg.solve(
    moving, fixed, moving_points=wrong, fixed_points=here, points_weight=0.001, **settings
)
print([str(check) for check in misled.warnings if check.name.startswith("point")])
for guide in misled.guides:
    print(f"point {guide.name}: {guide.before:.1f} mm before, {guide.after:.1f} mm after")

# %%

figure, axes = plt.subplots(1, 4, figsize=(12, 3.6))
for place, (title, image) in zip(
    axes,
    (
        ("fixed", fixed),
        ("moving", moving),
        ("images alone", alone.warped),
        ("with points", guided.warped),
    ),
    strict=True,
):
    place.imshow(np.asarray(image).T, origin="lower", cmap="gray")
    place.plot(*(there if title == "moving" else here).T, "r+")
    place.set(title=title, xticks=[], yticks=[])
figure.tight_layout()
plt.show()

# %%
# On the command line: ``varreg register t2.nii.gz t1.nii.gz --fixed-points t1.mrk.json --moving-points t2.mrk.json -o out``.
