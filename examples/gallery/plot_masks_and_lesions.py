"""
Masks for lesions without counterpart
=====================================

A lesion that only one image shows has no counterpart in the other.  Without a mask the registration deforms its
surroundings to match it.  A mask excludes the lesion from the comparison.
Here the true map is known, so the benefit and the limits of masks can be measured.
"""

# %%
# One brain with and without a lesion
# -----------------------------------
# The moving image has the contrast of T2 and shows the whole brain.  The fixed image, a T1, is deformed by a known
# map and has a lesion: everything within a circle is replaced.  A resection leaves the remaining tissue in
# place; a tumour that grew from a smaller core has displaced it.

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


def with_lesion(centre, radius, core, intensity):
    """The fixed image, the true map from it to `moving`, and the distance from the lesion's centre."""
    away = x - np.reshape(centre, (2, 1, 1))
    distance = np.hypot(*away)
    # outside, rings keep their area; inside, the core has grown evenly
    pushed = np.sqrt(np.maximum(distance**2 - radius**2 + core**2, 0))
    before = np.where(distance < radius, distance * core / radius, pushed)
    healthy = x + away * (before / np.maximum(distance, 1e-9) - 1)
    truth = healthy + [map_coordinates(part, healthy, order=1, mode="nearest") for part in bend] - x
    image = map_coordinates(t1, x + truth, order=1)
    return np.where(distance < radius, intensity, image), truth, distance


def head_of(truth):
    """Where the fixed image shows the head, or would without the lesion."""
    return map_coordinates((t1 > 0) * 1.0, x + truth, order=0) > 0


def report(name, difference, truth, distance, radius):
    """Print the mean error within the head: within 10 voxels of the lesion, beyond, and inside."""
    error = np.linalg.norm(difference, axis=0)
    places = (
        (distance >= radius) & (distance < radius + 10),
        distance >= radius + 10,
        distance < radius,
    )
    near, far, inside = (error[head_of(truth) & place].mean() for place in places)
    print(f"{name:19} {near:.2f} voxels near the lesion, {far:.2f} far away, {inside:.2f} inside")


# %%
# A cavity
# --------
# The cavity lies at the surface and is as dark as the outside, so without a mask the solver matches its wall to
# the surface of the brain.  A mask is true for the voxels to be *compared*; this one excludes a little more than the
# lesion.  Excluded voxels are ignored by both stages at every level.  They are not set to 0, which would only produce the cavity
# of this example.

place, radius = (140, 185), 28
cut, cut_truth, distance = with_lesion(place, radius, core=radius, intensity=0)
healthy = distance > radius + 2

plain = varreg.solve(moving, cut)
masked = varreg.solve(moving, cut, fixed_mask=healthy)
for name, result in (("no mask", plain), ("fixed_mask", masked)):
    report(name, result.displacement - cut_truth, cut_truth, distance, radius)

# %%
# Without the mask the cavity is mapped too far outside, where the moving image is dark; the smoothness term confines the error to
# the vicinity.  With the mask the map inside is still defined: where nothing is compared, u
# continues its surroundings smoothly.  It is correct here only because the resection did not displace the remaining
# tissue.


def show(fixed, truth, results, distance, radius, place):
    """Maps and errors around a lesion, whose border in the fixed image is the white line."""
    i, j = (slice(max(n - 45, 0), n + 45) for n in place)
    maps = {"the truth": truth} | {name: result.displacement for name, result in results.items()}
    width = 2.7 * len(maps) + 0.7
    figure, axes = plt.subplots(2, len(maps), figsize=(width, 5.8), layout="constrained")
    for ax, (name, map_) in zip(axes[0], maps.items(), strict=True):
        ax.imshow(fixed.T, cmap="gray", origin="lower")
        arrows = [part[i, j][3::8, 3::8] for part in (*x, *map_)]
        ax.quiver(*arrows, color="tab:orange", angles="xy", scale_units="xy", scale=0.6)
        ax.set_title(name)
    axes[1, 0].imshow(moving.T, cmap="gray", origin="lower")
    axes[1, 0].set_title("moving")
    for ax, (name, map_) in zip(axes[1, 1:], list(maps.items())[1:], strict=True):
        error = np.where(head_of(truth), np.linalg.norm(map_ - truth, axis=0), np.nan)
        picture = ax.imshow(error.T, vmin=0, vmax=4, origin="lower")
        ax.set_title(f"error, {name}")
    for ax in axes.flat:
        ax.contour(*x, distance, levels=[radius], colors="white", linewidths=1)
        ax.set(xlim=(i.start, i.stop), ylim=(j.start, j.stop))
        ax.axis("off")
    figure.colorbar(picture, ax=axes[1, :], label="voxels", shrink=0.8)
    plt.show()


show(cut, cut_truth, {"no mask": plain, "fixed_mask": masked}, distance, radius, place)

# %%
# A lesion in the moving image
# ----------------------------
# A mask array has the grid of its own image: ``fixed_mask`` that of the fixed, ``moving_mask`` that of the moving image; another
# shape or position is refused.  If the images are exchanged, the inverse is the true map, so a point mapped
# by the original true map and then by the result should return to its origin.
#
# A moving mask is less effective.  Fixed voxels that are mapped into the excluded region are out of view.  They contribute no information but remain in the
# denominator (:doc:`/theory`), so the energy favours maps that leave this region.  A first result warps the mask to the fixed grid; with both
# masks these voxels are excluded completely.

points = np.stack([part.ravel() for part in x], axis=1)
there = points + cut_truth.reshape(2, -1).T
first = varreg.solve(cut, moving, moving_mask=healthy)
carried = first.warp(healthy, fill=1) > 0.99
backwards = {
    "no mask": varreg.solve(cut, moving),
    "moving_mask": first,
    "both": varreg.solve(cut, moving, moving_mask=healthy, fixed_mask=carried),
}
for name, result in backwards.items():
    back = result.points(there, space="voxel")
    report(name, (back - points).T.reshape(x.shape), cut_truth, distance, radius)

# %%
# A bright lesion, and the range of intensities
# ---------------------------------------------
# Intensities are divided into bins, and a lesion six times as bright as the rest of the image would leave few bins for the
# rest.  Excluded voxels do not affect the intensity range, so their brightness is irrelevant.

bright, *_ = with_lesion(place, radius, core=radius, intensity=6)
for name, mask in (("no mask", None), ("fixed_mask", healthy)):
    result = varreg.solve(moving, bright, fixed_mask=mask)
    report(name, result.displacement - cut_truth, cut_truth, distance, radius)

# %%
# A tumour with mass effect
# -------------------------
# A lesion with mass effect *has* displaced the surrounding tissue, most of all next to its border, where the map changes
# within a few voxels.  A mask does not help with that: it excludes the border, and with it the visible
# displacement.  A map that can change faster helps: a shorter ``smoothness_length`` than the default, which is 5 % of
# the extent (:doc:`/choosing`).

place, radius = (66, 140), 18
grown, push_truth, distance = with_lesion(place, radius, core=12, intensity=1)
healthy = distance > radius + 2

results = {}
for length in (None, 6):
    for name, mask in (("no mask", None), ("fixed_mask", healthy)):
        title = name if length is None else f"{name}, {length} mm"
        results[title] = varreg.solve(moving, grown, fixed_mask=mask, smoothness_length=length)
        found = results[title].displacement
        report(title, found - push_truth, push_truth, distance, radius)
        share = results[title].jacobian()[distance < radius].mean()
        print(f"{'':19} it comes from {share:.0%} of its area, in truth {12**2 / radius**2:.0%}")

show(grown, push_truth, results, distance, radius, place)

# %%
# An uncertain border
# -------------------
# Many segmentations give probabilities.  Fractions between 0 and 1 are weights: a voxel that is a lesion with
# probability p has the weight 1 - p in every histogram and every sum, without a threshold.  Here p decreases from 1 to 0
# over about 15 voxels around the wall of the cavity.

cavity = np.hypot(*(x - np.reshape((140, 185), (2, 1, 1))))
probability = 1 / (1 + np.exp((cavity - 28) / 3))
for name, mask in (("p below a half", probability < 0.5), ("weights 1 - p", 1 - probability)):
    result = varreg.solve(moving, cut, fixed_mask=mask)
    report(name, result.displacement - cut_truth, cut_truth, cavity, 28)
print(result.notes[0])

# %%
# Outside the lesion the weights are as good as the correct threshold; inside, where half of the weight of the lesion remains, they are worse.
# Weights describe the *importance* of voxels, not their noise: mutual information accounts for noise by itself,
# because noise shares no information.  If the right half of the image is noisy, weights of
# one over the standard deviation suppress its remaining information, and the smoothness term determines the map there.

healthy_image, healthy_truth, _ = with_lesion((0, 0), 0.1, core=0.1, intensity=0)
deviation = 0.05 + 0.35 * np.clip((x[0] - 80) / 40, 0, 1)
noisy = healthy_image + deviation * np.random.default_rng(0).normal(size=t1.shape)
for name, mask in (("no weights", None), ("one over the noise", deviation.min() / deviation)):
    result = varreg.solve(moving, noisy, fixed_mask=mask, affine="rigid", deformable=True)
    error = np.linalg.norm(result.displacement - healthy_truth, axis=0)
    halves = [error[head_of(healthy_truth) & half].mean() for half in (x[0] < 90, x[0] >= 90)]
    print(f"{name:19} {halves[0]:.2f} voxels on the left, {halves[1]:.2f} on the noisy side")

# %%
# Effect and limits of a mask
# ---------------------------
# * A mask excludes structures without counterpart from the comparison, in both stages and at all levels.
# * It does not determine the map in the excluded region, which continues its surroundings smoothly.  A rigid mask
#   does: :doc:`plot_rigid_structures`.
# * It does not model displacement, growth or loss of tissue.
# * It is not saved with a result: pass it to :func:`varreg.certify` again.
#
# Therefore mask structures that only one image shows and that have not displaced the rest.  If in doubt, compare both maps: where they
# agree, the mask has no effect.
