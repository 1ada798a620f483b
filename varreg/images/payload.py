"""Reading of the voxels behind an untrusted nibabel header."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

_DEFLATE = 1032  # largest expansion factor of DEFLATE
_TRAILER = 1 << 24  # bytes allowed after the voxels of a compressed file
_CHUNK = 1 << 22
_LONGEST_HEADER = 1 << 26  # bytes; extensions hold text, not images


def refuse_long_header(path: Path) -> None:
    """Raise if a NIfTI file claims implausibly long header extensions, which nibabel would read at once.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; a file with the signature of another format is left to its reader.

    Raises
    ------
    ValueError, EOFError, OSError
        If it is not a regular file, or its header is too long.
    """
    if not path.is_file():  # reading a pipe would never end
        raise ValueError("it is no regular file")
    with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as stream:
        header = stream.read(540)
    for size, place, kind in ((348, 108, "f4"), (540, 168, "i8")):
        for order in "<>":
            if len(header) >= size and np.frombuffer(header, order + "i4", 1)[0] == size:
                offset = np.frombuffer(header, order + kind, 1, place)[0]
                if not 0 <= offset <= _LONGEST_HEADER:
                    raise ValueError(f"its header claims that voxels begin at byte {offset:g}")


def stored_voxels(stored: Any) -> np.ndarray:
    """Read the voxels behind a header, without a double-precision copy of the whole array.

    Parameters
    ----------
    stored : nibabel array proxy or ndarray
        The ``dataobj`` of a nibabel image.

    Returns
    -------
    ndarray
        As stored, or float32 if the header has a scaling.

    Raises
    ------
    ValueError, EOFError, OSError
        If the file contradicts its header; `varreg.images.reading` converts the exception.

    Examples
    --------
    >>> stored_voxels(np.eye(4)).shape
    (4, 4)
    """
    if not hasattr(stored, "get_unscaled"):
        return np.asanyarray(stored)
    source = getattr(stored, "file_like", None)
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    if path is None:
        raw = np.asarray(stored.get_unscaled())
    else:
        refuse_claim(stored, path)
        compressed = is_compressed(path)
        raw = _inflated(stored, path) if compressed else np.asarray(stored.get_unscaled())
    return scaled(raw, float(stored.slope), float(stored.inter))


def is_compressed(path: Path) -> bool:
    """Whether a volume can only be read from the beginning of its file, by its name."""
    return path.name.lower().endswith((".gz", ".mgz"))


def refuse_claim(stored: Any, path: Path) -> None:
    """Raise a ValueError if the header claims more bytes than a file of this size can hold."""
    expansion = _DEFLATE if is_compressed(path) else 1
    claimed = math.prod(int(n) for n in stored.shape) * stored.dtype.itemsize + int(stored.offset)
    held = path.stat().st_size * expansion
    if claimed > held or int(stored.offset) < 0:
        raise ValueError(
            f"the header claims {claimed} bytes (shape {tuple(stored.shape)}, {stored.dtype}) and "
            f"the file can hold {held} at most: it is truncated or its header is damaged"
        )


def _inflated(stored: Any, path: Path) -> np.ndarray:
    """Decompress exactly the claimed bytes, then continue to the end, where the checksum is."""
    count = math.prod(int(n) for n in stored.shape)
    payload = np.empty(count * stored.dtype.itemsize, np.uint8)
    view = payload.data
    with gzip.open(path) as stream:
        stream.seek(int(stored.offset))
        filled = 0
        while filled < len(view):
            got = stream.readinto(view[filled : filled + _CHUNK])
            if not got:
                raise EOFError(f"the file ends after {filled} of {len(view)} bytes of voxels")
            filled += got
        trailing = 0
        while chunk := stream.read(_CHUNK):
            trailing += len(chunk)
            if trailing > _TRAILER:
                raise ValueError("it decompresses to far more than its header claims")
    return np.asarray(payload.view(stored.dtype).reshape(stored.shape, order=stored.order))


def scaled(raw: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """Apply slope and intercept in double precision, one slab at a time."""
    if slope == 1.0 and inter == 0.0:
        return raw
    result = np.empty(raw.shape, np.float32)
    by_slab, into = (np.moveaxis(a, min(2, raw.ndim - 1), 0) for a in (raw, result))
    with np.errstate(all="ignore"):  # overflow is refused later, with its position
        for slab, target in zip(by_slab, into, strict=True):
            target[...] = slab.astype(np.float64) * slope + inter
    return result
