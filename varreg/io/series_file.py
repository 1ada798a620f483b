"""Writing an image series (4D NIfTI) volume by volume, without holding it in memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError
from ..geometry.grid import Grid
from ..images.nifti import nifti_image, storable

#: gzip header: magic number, deflate, no flags, no time (for reproducible bytes), fast, any system.
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
#: Empty final block of a deflate stream.
LAST_BLOCK = b"\x03\x00"
LEVEL = 1

Packed = tuple[bytes, bytes]


def storage_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Data type in which volumes are stored.

    Examples
    --------
    >>> storage_type(np.dtype("f8")), storage_type(np.dtype("i8")), storage_type(np.dtype("u1"))
    (dtype('float32'), dtype('int32'), dtype('uint8'))
    """
    if dtype.kind == "f":
        return np.dtype(np.float32)
    return (
        np.dtype(np.int32)
        if dtype.kind in "iu" and dtype.itemsize > 4
        else storable(np.zeros(1, dtype), function="varreg").dtype
    )


def packed(volume: NDArray[Any], dtype: np.dtype[Any], compressed: bool) -> Packed:
    """Bytes of a volume in memory and in the file; releases the GIL, so that threads compress several volumes in parallel.

    Byte-aligned blocks (like those of pigz) are concatenated in one deflate stream.
    """
    if dtype.kind in "iu" and not np.can_cast(volume.dtype, dtype):
        limits = np.iinfo(dtype)
        if volume.min() < limits.min or volume.max() > limits.max:
            raise InputError(f"varreg: labels beyond {dtype} cannot be written; renumber them.")
    raw = volume.astype(dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    if not compressed:
        return raw, raw
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return raw, packer.compress(raw) + packer.flush(zlib.Z_SYNC_FLUSH)


@contextmanager
def series_writer(
    path: Path, grid: Grid, count: int, step: float, dtype: np.dtype[Any]
) -> Iterator[Callable[[Packed], None]]:
    """Open a file for the volumes of an image series.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; an existing file is replaced.
    grid : Grid
        3D.
    count : int
        Number of volumes.
    step : float
        Repetition time in seconds; 0 if unknown.
    dtype : dtype
        Data type of the volumes.

    Yields
    ------
    callable
        Takes a result of :func:`packed` for each volume, in order.

    Examples
    --------
    >>> import nibabel, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "series.nii.gz"
    ...     with series_writer(file, Grid.with_spacing((4, 5, 6)), 2, 1.5, np.dtype("f4")) as write:
    ...         for value in (0, 1):
    ...             write(packed(np.full((4, 5, 6), value), np.dtype("f4"), True))
    ...     nibabel.load(file).get_fdata()[0, 0, 0].tolist()
    [0.0, 1.0]
    """
    compressed = path.name.lower().endswith(".gz")
    begin = _header(grid, count, step, dtype)
    with open(path, "wb") as stream:
        checksum, size, written = 0, 0, 0

        def add(data: Packed) -> None:
            nonlocal checksum, size, written
            raw, stored = data
            if compressed:
                checksum, size = zlib.crc32(raw, checksum), size + len(raw)
            stream.write(stored)
            written += 1

        if compressed:
            stream.write(GZIP_HEADER)
            packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            add((begin, packer.compress(begin) + packer.flush(zlib.Z_SYNC_FLUSH)))
        else:
            add((begin, begin))
        yield add
        if written != count + 1:
            raise FileError(f"varreg: {written - 1} of {count} volumes were written to {path}.")
        if compressed:
            stream.write(LAST_BLOCK + struct.pack("<II", checksum, size % 2**32))


def refuse_no_series(path: Any, function: str) -> None:
    """Refuse file names without a suffix for image series."""
    if not str(path).lower().endswith((".nii", ".nii.gz")):
        raise InputError(
            f"{function}: `output` is {str(path)!r}; a series is written as .nii or .nii.gz."
        )


def _header(grid: Grid, count: int, step: float, dtype: np.dtype[Any]) -> bytes:
    """A NIfTI header, and the four bytes that declare no extensions."""
    if max(*grid.shape, count) > np.iinfo(np.int16).max:
        raise InputError(
            f"varreg: a series of shape {(*grid.shape, count)} does not fit NIfTI-1, whose largest size is 32767."
        )
    header = nifti_image(np.zeros((4, 4, 4), dtype), grid.affine).header
    header.set_data_shape((*grid.shape, count))
    header.set_zooms((*grid.spacing, step))
    header.set_xyzt_units("mm", "sec" if step else None)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    return bytes(header.as_byteswapped("<").binaryblock) + bytes(4)
