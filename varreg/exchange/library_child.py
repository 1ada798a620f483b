"""Reading of ITK and HDF5 files in a separate process, so that a damaged file cannot crash the caller.

Both libraries abort, or exhaust the memory, on files with invalid sizes, which Python cannot catch.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..errors import FileError, VarregError
from ..geometry.grid import Grid
from .chain import AffineMap, Chain, FieldMap, Part, inverse_of
from .files import FUNCTION

#: Memory limit of the process, bytes: for Python and a library, and per byte of the file.
MEMORY, MEMORY_PER_BYTE = 4 << 30, 64
#: Time limit, in seconds: for the start, and per megabyte of the file.
SECONDS, SECONDS_PER_MEGABYTE = 60.0, 2.0
_COMMAND = "from varreg.exchange.library_child import main; main()"


def read_apart(path: Path, kind: str, inverse: bool = False) -> Chain:
    """The chain of a transform file, in RAS+ world.

    Parameters
    ----------
    path : Path
    kind : {"transform", "x5", "hdf5", "MetaImageIO", "NrrdImageIO"}
        "hdf5" is X5 or ITK, as detected from the content.  The last two are images of displacement vectors.
    inverse : bool
        Read the inverse instead: of an affine map, or as stored in X5.

    Returns
    -------
    Chain

    Raises
    ------
    FileError
        If the process ends without a result.
    VarregError
        Errors of :mod:`varreg.exchange.itk_objects` and :mod:`varreg.exchange.x5`.
    """
    size = path.stat().st_size
    memory = MEMORY + MEMORY_PER_BYTE * size
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    place, way = os.fspath(path.absolute()), "inverse" if inverse else "forward"
    command = [sys.executable, "-c", _COMMAND, kind, place, way, str(memory)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=SECONDS + SECONDS_PER_MEGABYTE * size / 2**20,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _damaged(path, f"its library did not end within {error.timeout:.0f} s") from None
    kind_of_answer, answer = ended.stdout[:1], ended.stdout[1:]
    if ended.returncode == 0 and kind_of_answer == b"C":
        return _unpacked(answer)
    if ended.returncode == 0 and kind_of_answer == b"E":
        name, message = json.loads(answer)
        raise getattr(errors, name)(message)
    how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"code {ended.returncode}"
    raise _damaged(path, f"its library ends with {how}")


def main() -> None:
    """Read the file named on the command line, within the memory limit; the result is written to standard output."""
    kind, name, way, memory = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # text printed by libraries must not mix with the result
    _limit_memory(int(memory))
    try:
        answer = b"C" + _packed(_read(Path(name), kind, way == "inverse"))
    except VarregError as error:
        answer = b"E" + json.dumps([type(error).__name__, str(error)]).encode()
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        damaged = _damaged(Path(name), f"{type(error).__name__}: {words}")
        answer = b"E" + json.dumps(["FileError", str(damaged)]).encode()
    with answers:
        answers.write(answer)


def _read(path: Path, kind: str, inverse: bool) -> Chain:
    from .x5 import is_x5, read_x5

    if kind == "x5" or (kind == "hdf5" and is_x5(path)):
        return read_x5(path, inverse)
    chain = _read_itk(path, kind)
    return inverse_of(chain, str(path)) if inverse else chain


def _read_itk(path: Path, kind: str) -> Chain:
    from .itk_objects import chain_of_itk, field_of_itk, simpleitk

    itk = simpleitk()
    if kind in ("transform", "hdf5"):
        return chain_of_itk(itk.ReadTransform(str(path)))
    image = itk.ReadImage(str(path), imageIO=kind)
    return Chain((field_of_itk(image),), image.GetDimension())


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _packed(chain: Chain) -> bytes:
    """A chain as an archive of arrays, without pickle."""
    arrays: dict[str, Any] = {"dim": chain.dim}
    for number, part in enumerate(chain.parts):
        if isinstance(part, AffineMap):
            arrays[f"matrix{number}"] = part.matrix
        else:
            arrays[f"affine{number}"] = part.grid.affine
            arrays[f"vectors{number}"] = part.vectors
            arrays[f"order{number}"] = part.order
            arrays[f"outside{number}"] = part.outside
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _unpacked(answer: bytes) -> Chain:
    parts = list[Part]()
    with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
        while True:
            number = len(parts)
            if f"matrix{number}" in arrays:
                parts.append(AffineMap(arrays[f"matrix{number}"]))
            elif f"vectors{number}" in arrays:
                vectors = arrays[f"vectors{number}"]
                grid = Grid(vectors.shape[1:], arrays[f"affine{number}"])
                rest = int(arrays[f"order{number}"]), str(arrays[f"outside{number}"])
                parts.append(FieldMap(grid, vectors, *rest))
            else:
                return Chain(tuple(parts), int(arrays["dim"]))


def _damaged(path: Path, reason: str) -> FileError:
    return FileError(
        f"{FUNCTION}: {str(path)!r} cannot be read ({reason}); check that the file is complete and of the type"
        " of its extension."
    )
