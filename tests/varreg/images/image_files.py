"""Images and files of them."""

from pathlib import Path

import nibabel
import numpy as np

from varreg.images.accepted import as_image


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rotation(degrees, axis=0):
    """Rotation about a world axis, (3, 3)."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = cosine, cosine, -sine, sine
    return matrix


def oblique_affine(order=(0, 1, 2), flips=(1, 1, 1)):
    """Anisotropic voxels, rotated twice, with permuted and flipped array axes."""
    linear = rotation(20, 0) @ rotation(-35, 2) @ np.diag([0.8, 1.1, 2.5])
    affine = np.eye(4)
    affine[:3, :3] = linear[:, list(order)] * np.array(flips)
    affine[:3, 3] = [-30.0, 12.0, 44.0]
    return affine


def take(value, **options):
    return as_image(value, argument="moving", **options)


def slice_image(affine, shape=(8, 9, 1), seed=0):
    return nibabel.Nifti1Image(noise(shape, seed), affine)


def contents(folder):
    """Small good files of several types."""
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(6, 5, 4), np.eye(4))
    flat = nibabel.Nifti1Image(np.arange(30, dtype=np.int16).reshape(6, 5, 1), oblique_affine())
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(flat, folder / name)
    nibabel.save(nibabel.MGHImage(np.asarray(image.dataobj), np.eye(4)), folder / "a.mgh")
    nibabel.save(nibabel.MGHImage(np.asarray(flat.dataobj), np.eye(4)), folder / "a.mgz")
    from skimage import io

    for name in ("a.png", "a.tif", "a.bmp", "a.jpg"):
        io.imsave(folder / name, np.arange(30, dtype=np.uint8).reshape(6, 5), check_contrast=False)
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
