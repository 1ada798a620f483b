"""
Two volumes on different grids
==============================

Two scanners have different grids: other voxel sizes, another field of view, and one oblique orientation.  Images are not resampled
before a registration.  The headers define the positions of the voxels, and the map is defined in world space, independent of
the arrays.  The example verifies this by storing the images with other axes.
"""

# %%
# A template and a scan
# ---------------------
# The fixed image is the T1 template in voxels of 4 mm.  The moving image looks like T2 and has voxels of
# 2.5 x 2.5 x 5 mm; its slices are tilted by 20 degrees, and they end below the crown of the head, as stated in its header.
# The head in it is also rotated, shifted and deformed, which no header states.
#
# ``head`` is the map moving -> fixed of the simulation, in world mm: the moving point ``y`` shows what the template
# shows at ``head(y)``.

from importlib.resources import files

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

import varreg

folder = files("nilearn") / "datasets" / "data"
names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
template, *maps = (nibabel.load(folder / name) for name in names)
t1, grey, white = (image.get_fdata() / 255 for image in (template, *maps))
t2 = (t1 > 0) * (1 - grey - white) + 0.6 * grey + 0.4 * white


def head(points):
    """Where moving points (..., 3) are in the template, world mm."""
    turn = Rotation.from_euler("xyz", [4, -5, 7], degrees=True).as_matrix()
    turned = (points - [6, -9, 4]) @ turn
    return turned + 4 * np.sin(turned[..., [1, 2, 0]] / 35)


def look(image, points):
    """What an image with a header shows at world points (..., 3)."""
    voxels = apply_affine(np.linalg.inv(image.affine), points)
    return map_coordinates(image.get_fdata(), np.moveaxis(voxels, -1, 0), order=1)


def voxel_centres(shape, affine):
    """World positions of all voxels of a grid, (..., 3)."""
    return apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def scan(values, blur, shape, affine, where):
    """An image of the template on another grid, carried by a map of the world."""
    smooth = nibabel.Nifti1Image(gaussian_filter(values, blur), template.affine)
    return nibabel.Nifti1Image(look(smooth, where(voxel_centres(shape, affine))), affine)


fixed_affine = from_matvec(4 * np.eye(3), [-98, -134, -72])
fixed = scan(t1, 1.5, (50, 59, 48), fixed_affine, lambda world: world)

shape = np.array([72, 84, 28])
voxel = Rotation.from_euler("x", 20, degrees=True).as_matrix() @ np.diag([2.5, 2.5, 5])
oblique = from_matvec(voxel, [6, -15, 16] - voxel @ ((shape - 1) / 2))
moving = scan(t2, (1, 1, 2), shape, oblique, head)
for name, image in (("fixed", fixed), ("moving", moving)):
    print(f"{name}: {image.shape} voxels, world affine\n{image.affine.round(2)}")

# %%
# Registration
# ------------
# The images are passed without preprocessing.  Paths of files are accepted as well.

result = varreg.solve(moving, fixed)
print(result)

# %%
# Error
# -----
# Every voxel of the moving brain is a point ``y`` with known position ``head(y)`` in the template.  The map goes
# from fixed to moving, so ``result.points(head(y))`` should be ``y``.

brain = scan((t1 > 0).astype(float), 0, shape, oblique, head).get_fdata() > 0.5
y = voxel_centres(shape, oblique)[brain]


def distances(points):
    """Distances in mm to where the points should be, and what to say of them."""
    distance = np.linalg.norm(points - y, axis=-1)
    median, most = np.percentile(distance, [50, 95])
    return distance, f"median {median:.2f}, 95 % below {most:.2f}, at most {distance.max():.2f} mm"


before, words = distances(head(y))
print("before:", words)
print("affine:", distances(apply_affine(result.affine, head(y)))[1])
after, words = distances(result.points(head(y)))
print("after: ", words)

# %%
# Points
# ------
# World points are mapped to world points.  With ``space="voxel"``, indices of the fixed array are mapped to indices of the moving
# array; the headers relate the two spaces.

index = np.array([25, 30, 20])
world = apply_affine(fixed.affine, index)
there = result.points(world)
print("fixed world ", world, "-> moving world ", there.round(2))
print("fixed voxel ", index, "-> moving voxel ", result.points(index, space="voxel").round(2))
print("by the header of the moving image:", apply_affine(np.linalg.inv(oblique), there).round(2))

# %%
# Forward and inverse warping
# ---------------------------
# ``result.warped`` is the moving image on the fixed grid, and ``to_nifti`` adds the header.  ``result.inverse()``
# warps fixed images to the moving grid.  A second scan of the moving side may have another grid than the first: here
# a scan of 2 x 2 x 2 mm is warped by the same map with its own header.

warped = result.warped.to_nifti()
print("warped has the header of fixed:", np.allclose(warped.affine, fixed.affine))
back = result.inverse()
template_on_scan = back.warp(fixed)
print(f"template on the scan: {template_on_scan.shape}, inverse exact to {back.residual:.5f} mm")
fine = from_matvec(2 * np.eye(3), [-92, -130, -80])
second = scan(t2, 0.7, (100, 120, 90), fine, head)
print("second scan on the template:", result.warp(second).shape)

# %%
# Independence of the array axes
# ------------------------------
# ``as_reoriented`` flips and exchanges the axes of an array and changes the header, so that every voxel keeps its world
# position.  The displacement grid follows the axes of the fixed array, and sums have another order.  The
# result is therefore not bitwise equal, but much closer to the first result than either is to the true map.

turned = np.array(
    [[2, -1], [0, 1], [1, -1]]
)  # for each axis: where it goes, and whether it is flipped
stored = {
    "moving turned": (moving.as_reoriented(turned), fixed),
    "both turned": (moving.as_reoriented(turned), fixed.as_reoriented(turned)),
}
others = {}
for name, pair in stored.items():
    points = varreg.solve(*pair).points(head(y))
    others[name], words = distances(points)
    difference = np.linalg.norm(points - result.points(head(y)), axis=-1)
    print(f"{name}: {words}")
    print(
        f"  from the first answer: mean {difference.mean():.3f}, at most {difference.max():.3f} mm"
    )

# %%
# Pictures in world space
# -----------------------
# The upper row is the sagittal plane x = 0 of the fixed world: the template, the scan at the position of its header, and
# the warped scan, with the outline of the template.  Below are a plane of the scan's own array, the template
# warped to it with the outline of the scan, and the share of points within a distance of the true position.

plane = np.stack(np.meshgrid(0, np.arange(-130, 100), np.arange(-80, 115), indexing="ij"), -1)[0]
there = result.points(plane.reshape(-1, 3)).reshape(plane.shape)
own = [np.asarray(image)[36] for image in (moving.get_fdata(), template_on_scan)]
shown = (
    ("fixed", look(fixed, plane)),
    ("moving, by the headers", look(moving, plane)),
    ("moving, through the map", look(moving, there)),
    ("moving, its own array", own[0]),
    ("fixed, warped back", own[1]),
)
figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained")
for ax, (title, values) in zip(axes.flat, shown, strict=False):
    ax.imshow(values.T, cmap="gray", origin="lower", aspect=2 if values.shape[1] == shape[2] else 1)
    ax.set_title(title)
    ax.axis("off")
for ax in axes[0, 1:]:
    ax.contour(gaussian_filter(shown[0][1], 3).T, [0.25], colors="orange", linewidths=0.8)
axes[1, 1].contour(gaussian_filter(own[0], 1).T, [0.25], colors="orange", linewidths=0.8)

share = np.linspace(0, 100, len(y))
axes[1, 2].plot(np.sort(before), share, label="before")
axes[1, 2].plot(np.sort(after), share, linewidth=4, alpha=0.4, label="as made")
for name, distance in others.items():
    axes[1, 2].plot(np.sort(distance), share, "--", linewidth=1.2, label=name)
axes[1, 2].set(xscale="log", xlim=(0.1, 40), xlabel="distance to the truth, mm", ylabel="points, %")
axes[1, 2].legend(fontsize="small", loc="upper left")
plt.show()
