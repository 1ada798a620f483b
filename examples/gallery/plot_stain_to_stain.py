"""
Two stains of neighbouring sections
===================================

Two sections of one block of tissue, a few micrometres apart, have two stains with different colours, nuclei
that exist in one section only, and a second section that is rotated and stretched.  This example simulates such a pair with
known landmarks, converts the colours to scalar images, registers those, and warps the colours by the map.
"""

# %%
# The tissue
# ----------
# Glands with a lumen lie in fibrous tissue.  They continue from one section to the next; nuclei do not, so each
# section has its own.  ``lay`` is the map of the simulation: ``x`` in the first section corresponds to ``lay(x)`` in the
# second, in pixels.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.color import rgb2hed

import varreg

random = np.random.default_rng(3)
shape = np.array([320, 360])
x = np.indices(shape).astype(float)
middle = shape.reshape(2, 1, 1) / 2


def lay(points):
    """Where points (2, n, m) of the first section are in the second."""
    angle = np.deg2rad(14)
    turn = 1.04 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bent = points + 7 * np.sin(points[::-1] / np.reshape([50, 45], (2, 1, 1)))
    return np.tensordot(turn, bent - middle, 1) + middle + np.reshape([2, -9], (2, 1, 1))


origin = x.copy()  # where the pixels of the second section are in the first: lay, inverted
for _ in range(60):
    origin -= lay(origin) - x

centres = []
while len(centres) < 26:
    new = random.uniform(45, shape - 45)
    in_tissue = np.hypot(*((new - shape / 2) / (shape / 2 - 45))) < 1
    if in_tissue and all(np.hypot(*(new - old)) > 36 for old in centres):
        centres.append(new)
sizes, phases = random.uniform(11, 17, 26), random.uniform(0, 2 * np.pi, 26)
is_marked = random.uniform(size=26) < 0.6
fibres = gaussian_filter(random.normal(size=shape), (1.5, 6))


def outline(angle, phase):
    """How far the border of a gland is from its centre, as a share of its size."""
    return 1 + 0.15 * np.sin(2 * angle + phase) + 0.08 * np.sin(3 * angle - phase)


def section(place, carry):
    """Nuclei, gland cells, marked cells and fibres of a section whose pixels are at `place`."""
    cells, marked, lumen = np.zeros((3, *shape))
    nuclei = [random.uniform(size=(2, 1000)) * shape[:, None]]
    for centre, size, phase, mark in zip(centres, sizes, phases, is_marked, strict=True):
        size = size * random.normal(1, 0.03)
        away = place - centre.reshape(2, 1, 1)
        distance = np.hypot(*away) / (size * outline(np.arctan2(*away), phase))
        lumen[distance < 0.4] = 1
        cells[(distance >= 0.4) & (distance < 1)] = 1
        marked[(distance >= 0.4) & (distance < 1)] = mark
        angle = random.uniform(0, 2 * np.pi, 24)
        radius = size * outline(angle, phase) * random.uniform(0.72, 0.88, 24)
        nuclei.append(centre[:, None] + radius * [np.sin(angle), np.cos(angle)])
    row, column = np.round(carry(np.concatenate(nuclei, 1)[..., None])[..., 0]).astype(int)
    seen = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    dots = np.zeros(shape)
    dots[row[seen], column[seen]] = 1
    dots = np.clip(16 * gaussian_filter(dots, 1.4), 0, 1) * (1 - lumen)

    angle = np.arctan2(*(place - middle))
    edge = np.hypot(*((place - middle) / (middle - 22)))
    tissue = edge < 1 + 0.05 * np.sin(3 * angle) + 0.03 * np.sin(7 * angle + 1)
    strands = (1 - cells) * (1 - lumen) * np.clip(1 + 3.5 * map_coordinates(fibres, place), 0, 2)
    return tissue * np.stack([dots, cells, marked, strands])


# %%
# The stains
# ----------
# A stain absorbs light by the law of Beer and Lambert: optical densities add up, and the colour is
# ``exp(-density)``.  Haematoxylin is blue and binds to nuclei, eosin is pink and binds to the rest; in the other section
# a brown marker (DAB) shows some of the glands, and haematoxylin the nuclei.

blue, pink, brown = np.array([[0.68, 0.66, 0.31], [0.10, 0.97, 0.20], [0.30, 0.56, 0.78]])


def picture(parts, densities):
    """RGB (n, m, 3) in [0, 1] of a section with such optical densities of its parts."""
    density = np.tensordot(parts, densities, (0, 0))
    light = np.exp(-gaussian_filter(density, (0.7, 0.7, 0)))
    return np.clip(light + random.normal(0, 0.015, light.shape), 0.01, 1)


first = picture(
    section(x, lambda points: points),
    [1.3 * blue, 0.15 * blue + 0.55 * pink, 0 * brown, 0.45 * pink],
)
second = picture(
    section(origin, lay),
    [0.8 * blue, 0.1 * blue, 1.3 * brown, 0.08 * blue + 0.05 * brown],
)
landmarks = np.array(centres)
truth = lay(landmarks.T[..., None])[..., 0].T
print(len(landmarks), "landmarks,", is_marked.sum(), "in glands with the marker")

# %%
# Conversion of colours to scalars
# --------------------------------
# The solver requires one value per pixel and refuses colour arrays.

try:
    varreg.solve(second, first)
except varreg.InputError as error:
    print(error)

# %%
# There are several conversions.  The mean optical density shows all absorbing structures.  ``skimage`` separates the
# stains by their standard colours, which are not exactly those of our scanner: haematoxylin is in both sections; eosin
# and DAB are not.


def density(rgb):
    """Mean optical density of the three colours."""
    return -np.log(rgb).mean(-1)


scalars = {
    "density": (density(second), density(first)),
    "haematoxylin": (rgb2hed(second)[..., 0], rgb2hed(first)[..., 0]),
    "DAB, eosin": (rgb2hed(second)[..., 2], rgb2hed(first)[..., 1]),
}
errors = {"before": np.linalg.norm(landmarks - truth, axis=1)}
results = {}
for name, pair in scalars.items():
    results[name] = varreg.solve(*pair)
    found = results[name].points(landmarks, space="voxel")
    errors[name] = np.linalg.norm(found - truth, axis=1)
print("target registration error at the landmarks, pixels")
for name, error in errors.items():
    print(f"{name:13s} median {np.median(error):5.2f}, at most {error.max():5.2f}")

# %%
# Eosin and DAB mark different structures, and their registration fails.  The other two images show structures common to both sections, the
# density more of them.  The following sections use the density.

result = results["density"]
print(result)

# %%
# Warping colours
# ---------------
# Each colour is an image of the moving side.  The glass outside the section is white, so ``fill`` is 1.

warped = np.stack([result.warp(second[..., k], fill=1) for k in range(3)], axis=-1)
inside = density(gaussian_filter(first, (3, 3, 0))) > 0.1
distance = np.linalg.norm(x + result.displacement - lay(x), axis=0)[inside]
low, high = np.percentile(distance, [50, 95])
print(f"error at all pixels of the tissue: median {low:.2f}, 95 % below {high:.2f} pixels")

# %%
# Landmarks
# ---------
# Circles are the true landmarks, crosses are the landmarks of the first section mapped to the second.

found = result.points(landmarks, space="voxel")
tiles = np.add(*(x // 40).astype(int))[..., None] % 2 == 0
shown = (
    ("first section (fixed)", first, landmarks, None),
    ("second section (moving), landmarks found", second, truth, found),
    ("second on first", warped, landmarks, None),
    ("checkerboard, before", np.where(tiles, first, second), None, None),
    ("checkerboard, after", np.where(tiles, first, warped), None, None),
)
figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
for ax, (title, image, circles, crosses) in zip(axes.flat, shown, strict=False):
    ax.imshow(image)
    if circles is not None:
        ax.plot(*circles.T[::-1], "o", markersize=9, markerfacecolor="none", color="black")
    if crosses is not None:
        ax.plot(*crosses.T[::-1], "x", markersize=5, color="red")
    ax.set_title(title)
    ax.axis("off")
for number, (_, error) in enumerate(errors.items()):
    height = number + random.uniform(-0.15, 0.15, len(error))
    axes[1, 2].plot(error, height, "o", alpha=0.5, markersize=5)
axes[1, 2].set(xscale="log", xlabel="error at the landmarks, pixels", ylim=(3.5, -0.5))
axes[1, 2].set_yticks(range(4), errors)
plt.show()
