"""
Construction of a template
==========================

Six heads are deformed versions of one original head.  :func:`varreg.build_template` estimates the mean
of their shapes and intensities, independent of the person with which it starts.
"""

# %%
# Six people with a known mean
# ----------------------------
# The people are pairs with opposite displacements, so that the mean of the maps from the original head is the identity.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import map_coordinates

import varreg
from varreg.data.phantom import brain_phantom
from varreg.data.phantom.random_map import random_invertible_map

random = np.random.default_rng(0)
shape = (80, 80)
head = brain_phantom(shape, random, noise=0.0, bias=0.0)
voxels = np.indices(shape)
people, labels = [], []
for seed in (1, 2, 3):
    bend = random_invertible_map(shape, np.random.default_rng(seed), 2.0, 12, False)[0] - voxels
    for sign in (1, -1):
        at = voxels + sign * bend
        people.append(map_coordinates(head.t1, at, order=1) + 0.02 * random.normal(size=shape))
        labels.append(map_coordinates(head.labels, at, order=0))

# %%
# The template
# ------------
# Labels do not affect the template; their overlap measures the alignment of the people after each round.

template = varreg.build_template(people, labels=labels, progress=False)
print(template)

# %%
# Comparison with the plain mean and the original head
# ----------------------------------------------------


def alike(image):
    """Correlation with the head that all come from."""
    return np.corrcoef(np.ravel(image), head.t1.ravel())[0, 1]


plain = np.mean(people, axis=0)
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2))
for place, (title, image) in zip(
    axes,
    (
        (f"one of them ({alike(people[0]):.3f})", people[0]),
        (f"their mean, voxel by voxel ({alike(plain):.3f})", plain),
        (f"template ({alike(template.image.data):.3f})", template.image.data),
        ("the head they come from", head.t1),
    ),
    strict=True,
):
    place.imshow(np.asarray(image).T, cmap="gray", origin="lower", vmin=0, vmax=1)
    place.set(title=title, xticks=[], yticks=[])
figure.tight_layout()
plt.show()

# %%
# ``template.transforms`` are the maps from the template to the people, and their mean is the identity:

mean = np.mean([each.displacement for each in template.transforms], axis=0)
print(f"mean of the maps: at most {np.abs(mean).max():.3f} voxels")

# %%
# On the command line: ``varreg template *.nii.gz -o template``.
