"""Linear interpolation of an image at arbitrary points, for warping with a given map."""

from __future__ import annotations

from .compiled import kernel


@kernel
def read_points(image, points, fill, out):
    """out[k] = image at points[:, k], or `fill` outside the field of view.

    Parameters
    ----------
    image : (p, q, r) array
        The image; p = 1 for a plane.
    points : (d, n) array
        Voxel coordinates; for d = 2 of the last two axes.
    fill : float
        Value outside the field of view [-1/2, n - 1/2]; inside, the image is continued constantly
        beyond the outermost voxel centres.
    out : (n,) array, output
    """
    n0, n1, n2 = image.shape
    first, zero = points.shape[0] - 2, points.dtype.type(0)
    for k in range(points.shape[1]):
        y0 = points[0, k] if first == 1 else zero
        y1, y2 = points[first, k], points[first + 1, k]
        inside = -0.5 <= y0 <= n0 - 0.5 and -0.5 <= y1 <= n1 - 0.5 and -0.5 <= y2 <= n2 - 0.5
        if not inside:  # NaN is outside, too
            out[k] = fill
            continue
        y0, y1, y2 = max(y0, zero), max(y1, zero), max(y2, zero)
        a, b, c = min(int(y0), n0 - 1), min(int(y1), n1 - 1), min(int(y2), n2 - 1)
        d, e, f = min(a + 1, n0 - 1), min(b + 1, n1 - 1), min(c + 1, n2 - 1)
        t0, t1, t2 = y0 - a, y1 - b, y2 - c
        p00 = image[a, b, c] + t2 * (image[a, b, f] - image[a, b, c])
        p01 = image[a, e, c] + t2 * (image[a, e, f] - image[a, e, c])
        p10 = image[d, b, c] + t2 * (image[d, b, f] - image[d, b, c])
        p11 = image[d, e, c] + t2 * (image[d, e, f] - image[d, e, c])
        low, high = p00 + t1 * (p01 - p00), p10 + t1 * (p11 - p10)
        out[k] = low + t0 * (high - low)
