"""
Labels from several atlases
===========================

Registration of one labelled atlas gives the labels of an image, with the errors of a single registration.  Label fusion of several
atlases is more accurate, and the disagreement of the atlases shows where the labels are uncertain.
"""

# %%
# A head to label, and four atlases
# ---------------------------------
# The atlases are deformed versions of the head itself, so that its labels are known.  Their images are noisy and of another contrast.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import map_coordinates

import varreg
from varreg.data.phantom import brain_phantom
from varreg.data.phantom.random_map import random_invertible_map

random = np.random.default_rng(4)
shape = (80, 80)
head = brain_phantom(shape, random)
atlases = []
for seed in (1, 2, 3, 4):
    bent = random_invertible_map(shape, np.random.default_rng(seed), 3.0, 9, False)[0]
    image = map_coordinates(head.t1, bent, order=1) + 0.03 * random.normal(size=shape)
    atlases.append((image, map_coordinates(head.labels, bent, order=0)))

# %%
# Label fusion
# ------------

found = varreg.label(head.t2, atlases, progress=False)
print(found)


def overlap(labels):
    """Mean Dice of the tissues."""
    both = [(labels == k, head.labels == k) for k in np.unique(head.labels) if k]
    return np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in both])


for transform, (_, labels) in zip(found.transforms, atlases, strict=True):
    print(f"one atlas:   Dice {overlap(transform.warp_labels(labels)):.3f}")
for method in ("majority", "local"):
    votes = varreg.label(head.t2, atlases, method=method, progress=False)
    print(f"{method:12} Dice {overlap(votes.labels):.3f}")

# %%
# Agreement of the atlases
# ------------------------
# Errors lie where the agreement is low.  Low agreement does not always mean an error, and errors common to all atlases are not detected.

wrong = found.labels != head.labels
figure, axes = plt.subplots(1, 4, figsize=(11, 3))
for place, (title, image, colours) in zip(
    axes,
    (
        ("to be labelled", head.t2, "gray"),
        ("labels", found.labels, "viridis"),
        ("agreement", found.agreement, "magma"),
        ("wrong labels", wrong, "gray_r"),
    ),
    strict=True,
):
    place.imshow(image.T, cmap=colours, origin="lower")
    place.set(title=title, xticks=[], yticks=[])
figure.tight_layout()
plt.show()

print(
    f"mean agreement where right {found.agreement[~wrong].mean():.2f}, where wrong {found.agreement[wrong].mean():.2f}"
)

# %%
# On the command line, with a folder of ``NAME_image.nii.gz`` and ``NAME_labels.nii.gz``:
# ``varreg label image.nii.gz --atlases folder -o labelled``.
