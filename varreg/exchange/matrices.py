"""Affine maps in files: rows of numbers (greedy, FLIRT) and MATLAB 4 (ANTs)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError
from ..geometry.displacement import Float
from .chain import AffineMap
from .files import FUNCTION, explained, text_of
from .plane import conjugated, lps

# Parameters are a matrix, row by row, and a translation; the fixed parameters are the centre.
_MATRIX_TYPES = ("AffineTransform", "MatrixOffsetTransformBase")


def read_rows(path: Path) -> Float:
    """Read a (d+1, d+1) matrix in text rows.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (3, 3) or (4, 4) array

    Raises
    ------
    FileError
        If the file does not hold 9 or 16 numbers with last row 0 .. 0 1.
    """
    lines = text_of(path).splitlines()
    with explained(path):
        numbers = [float(word) for line in lines for word in line.split("#")[0].split()]
    matrix = np.array(numbers)
    if len(numbers) in (9, 16):
        matrix = matrix.reshape((3, 3) if len(numbers) == 9 else (4, 4))
        if np.isfinite(matrix).all() and np.allclose(matrix[-1], np.eye(len(matrix))[-1]):
            return matrix
    raise FileError(
        f"{FUNCTION}: {str(path)!r} does not hold an affine matrix: rows of 3 or 4 numbers of which "
        f"the last is 0 .. 0 1; it has {len(numbers)} numbers. Check that it is the file you mean."
    )


def write_rows(path: Path, matrix: Float) -> None:
    """Write a matrix in text rows, in full precision."""
    lines = [" ".join(repr(float(value)) for value in row) for row in matrix]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_matlab(path: Path) -> AffineMap | None:
    """Read the binary ``.mat`` of ANTs.

    Parameters
    ----------
    path : Path
        MATLAB 4: the parameters under the name of the transform type, and ``fixed``.

    Returns
    -------
    AffineMap or None
        In RAS+ world; None if the transform is not stored as a matrix (rigid types, which
        SimpleITK reads).

    Raises
    ------
    FileError
        If the file is damaged.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import matfile_version

    with explained(path):
        if matfile_version(path)[0] != 0:  # later versions are compressed, and not used by ANTs
            raise ValueError("it is not a file of MATLAB 4")
        content = {
            name: np.asarray(value, dtype=np.float64).ravel()
            for name, value in loadmat(path).items()
            if not name.startswith("__")
        }
        centre = content.pop("fixed", None)
        name, parameters = next(iter(content.items()), ("", np.zeros(0)))
    if not name.startswith(_MATRIX_TYPES):
        return None
    dim = {6: 2, 12: 3}.get(len(parameters), 0)
    if centre is None or dim == 0 or len(centre) != dim or len(content) != 1:
        raise FileError(f"{FUNCTION}: {str(path)!r} holds {name} with a wrong number of values.")
    linear, shift = parameters[: dim * dim].reshape(dim, dim), parameters[dim * dim :]
    return AffineMap(conjugated(centred(linear, shift, centre), lps(dim)))


def write_matlab(path: Path, matrix: Float) -> None:
    """Write a RAS+ matrix as the binary ``.mat`` of ANTs."""
    from scipy.io import savemat

    dim = len(matrix) - 1
    turned = conjugated(matrix, lps(dim))
    parameters = np.append(turned[:-1, :-1].ravel(), turned[:-1, -1])
    content = {
        f"AffineTransform_double_{dim}_{dim}": parameters[:, None],
        "fixed": np.zeros((dim, 1)),
    }
    with open(path, "wb") as stream:  # savemat would append a suffix to a file name
        savemat(stream, content, format="4")


def centred(linear: Float, shift: Float, centre: Float) -> Float:
    """The homogeneous matrix of x -> linear (x - centre) + centre + shift.

    Examples
    --------
    >>> centred(np.diag([2.0, 1.0]), np.zeros(2), np.ones(2))[0].tolist()
    [2.0, 0.0, -1.0]
    """
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = shift + centre - linear @ centre
    return matrix
