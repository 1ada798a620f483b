"""3D viewer of the page: NiiVue, and both images with few voxels.

NiiVue (https://niivue.com) is stored compressed in ``vendor``, with its licence.  The page contains it compressed,
and unpacks and runs it on demand, which the content security policy allows by hash only.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Any

import nibabel
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from .pictures import to_bytes
from .subject import Subject
from .tiles import Box

#: Most voxels of each of the two images: about 2.5 mm for a head, 0.4 MB of the page.
MOST_VOXELS = 600_000
#: Smallest number of voxels along an axis for a 3D view.
LEAST_VOXELS = 12


def viewer(subject: Subject) -> dict[str, Any] | None:
    """Script, its hash, its licences and the two images, as text of the page; None for 2D images.

    Parameters
    ----------
    subject : Subject
    """
    box = subject.box
    if len(box) < 3 or min(part.stop - part.start for part in box) < LEAST_VOXELS:
        return None
    script, digest = _script()
    images = (
        (subject.fixed.data, subject.fixed_window),
        (subject.after, subject.moving_window),
    )
    return {
        "script": script,
        "hash": digest,
        "licences": Markup(_vendored("LICENSES.txt").decode()),
        "volumes": [_volume(subject, box, values, window) for values, window in images],
    }


def _volume(
    subject: Subject, box: Box, values: NDArray[np.floating], window: tuple[float, float]
) -> str:
    """A compressed NIfTI of bytes, in base64: 0 is dark, 255 bright."""
    grid = subject.fixed.grid
    grey, affine = small(to_bytes(values[box], *window), box, grid.affine)
    file = nibabel.Nifti1Image(grey, affine).to_bytes()
    return base64.b64encode(gzip.compress(file, mtime=0)).decode()


def small(
    grey: NDArray[np.uint8], box: Box, affine: NDArray[np.floating], most: int = MOST_VOXELS
) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
    """An image with at most `most` nearly isotropic voxels, and its affine.

    Parameters
    ----------
    grey : (*S) array
        The region `box` of a larger image.
    box : tuple of slice
    affine : (4, 4) array
        Voxel of the larger image -> world, mm.
    most : int

    Examples
    --------
    >>> grey, affine = small(np.zeros((40, 40, 20), np.uint8), (slice(8, 48), slice(40), slice(20)), np.diag([1, 1, 2, 1]), 4000)
    >>> grey.shape, affine.diagonal().round(2).tolist(), affine[:3, 3].round(2).tolist()
    ((15, 15, 15), [2.67, 2.67, 2.67, 1.0], [8.83, 0.83, 0.33])
    """
    sizes = np.linalg.norm(affine[:-1, :-1], axis=0)
    wanted = max((sizes.prod() * grey.size / most) ** (1 / 3), sizes.min())
    shape = [
        max(1, min(n, int(n * size / wanted + 1e-6)))
        for n, size in zip(grey.shape, sizes, strict=True)
    ]
    while np.prod(shape) > most:  # axes coarser than isotropic are not reduced above
        shape = [max(1, int(0.98 * n)) for n in shape]
    factor = np.array(grey.shape) / shape
    smooth = gaussian_filter(grey.astype(np.float32), 0.4 * np.maximum(factor - 1, 0))
    made = zoom(smooth, 1 / factor, order=1, grid_mode=True, mode="nearest")
    step = np.eye(4)
    step[:-1, :-1] = np.diag(factor)
    step[:-1, -1] = [part.start or 0 for part in box] + (factor - 1) / 2
    return np.round(made).astype(np.uint8), affine @ step


@cache
def _script() -> tuple[str, str]:
    """NiiVue, compressed and in base64, and the hash of the unpacked script."""
    packed = _vendored("niivue.js.gz")
    return base64.b64encode(packed).decode(), policy_hash(gzip.decompress(packed))


def policy_hash(script: bytes) -> str:
    """The hash of a script in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"


def _vendored(name: str) -> bytes:
    return (resources.files("varreg.report") / "vendor" / name).read_bytes()
