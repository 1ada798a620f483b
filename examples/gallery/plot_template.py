"""
The mean of a group
===================

Six heads, each bent in its own way: what is the head that they all come from?  :func:`varreg.build_template` finds the mean
of their shapes and of their intensities, with whomever it begins.
"""

# %%
# Six people whose mean is known
# ------------------------------
# They come in pairs, bent by opposite displacements, so that the mean of the maps from the original head is no map at all.

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
# Labels steer nothing; they show how people come to lie on each other from round to round.

template = varreg.build_template(people, labels=labels, progress=False)
print(template)

# %%
# Beside the plain mean and the head itself
# -----------------------------------------


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
# From the command line: ``varreg template *.nii.gz -o template``.
