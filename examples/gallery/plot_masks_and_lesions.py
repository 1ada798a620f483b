"""
A lesion that only one image has: masks
=======================================

Where one image shows a lesion and the other does not, there is nothing to match, and what a registration
does there is an invention that its surroundings pay for.  A mask takes the lesion out of the comparison.
Here the truth is known, so that we can see how much that helps, and where it does not.
"""

# %%
# One brain with and without a lesion
# -----------------------------------
# The moving image has the contrast of T2 and shows the whole brain.  The fixed one, a T1, is bent by a known
# map and has a lesion: everything within a circle is replaced.  Where tissue was cut out, the rest keeps its
# place; a tumour that grew from a smaller core has pushed the rest aside.

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
# The cavity lies at the surface and is as dark as the outside, so without a mask the solver takes its wall for
# the surface of the brain.  A mask is true where voxels *count*; this one leaves out a little more than the
# lesion.  What it leaves out enters neither stage at any level.  It is not set to 0: that would only make the cavity
# of this example.

place, radius = (140, 185), 28
cut, cut_truth, distance = with_lesion(place, radius, core=radius, intensity=0)
healthy = distance > radius + 2

plain = varreg.solve(moving, cut)
masked = varreg.solve(moving, cut, fixed_mask=healthy)
for name, result in (("no mask", plain), ("fixed_mask", masked)):
    report(name, result.displacement - cut_truth, cut_truth, distance, radius)

# %%
# Without the mask the cavity is looked for too far outside, where it is dark; the smoothness term keeps the harm
# near.  With it there still is a map inside: u is defined everywhere, and where nothing is compared it
# continues its surroundings as smoothly as it can.  It is right here only because nothing moved when the tissue was
# cut out.


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
# The lesion is in the moving image
# ---------------------------------
# A mask lies on the grid of its own image: ``fixed_mask`` on the fixed, ``moving_mask`` on the moving one; another
# shape or place is refused.  The same pair the other way round has the inverse as its truth, so a point that goes
# through the truth and then through the result should come back.
#
# A moving mask helps less.  Fixed voxels that are mapped into it are out of view, where they share nothing but are
# still counted (:doc:`/theory`), so it pays to leave it.  A first result brings the mask onto the fixed grid; with both
# masks these voxels do not count at all.

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
# Intensities are divided into bins, and a lesion six times as bright as everything else would leave few of them to the
# rest.  What a mask leaves out does not count for the range either, so it may be as bright as it will.

bright, *_ = with_lesion(place, radius, core=radius, intensity=6)
for name, mask in (("no mask", None), ("fixed_mask", healthy)):
    result = varreg.solve(moving, bright, fixed_mask=mask)
    report(name, result.displacement - cut_truth, cut_truth, distance, radius)

# %%
# A tumour that pushes
# --------------------
# Around a lesion with mass effect tissue *has* moved, most of all next to its border, and there the map changes
# within a few voxels.  A mask does not help with that: it takes away the border, and with it what the images show of the
# push.  What helps is a map that may change faster: a shorter ``smoothness_length`` than the default, which is 5 % of
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
# Effect and limits of a mask
# ---------------------------
# * It keeps what has no counterpart from being compared, in both stages and at all levels.
# * It does not say what happens there: the map goes on smoothly, and no more is known of it.
# * It does not tell the solver that tissue has been pushed aside, grown or been lost.
# * It is not saved with a result: pass it to :func:`varreg.certify` again.
#
# So mask what only one image shows and what has not moved the rest.  If in doubt, compare both maps: where they
# agree, nothing depends on the mask.
