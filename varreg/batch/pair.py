"""One pair of a batch: arguments of ``solve``, size, and location of its errors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..images.accepted import as_image
from ..images.channels import is_several
from ..images.image import Image

REQUIRED = ("moving", "fixed")
OPTIONAL = (
    "fixed_mask", "moving_mask", "fixed_rigid_mask", "moving_rigid_mask", "start", "affine",
)  # fmt: skip
#: With fewer voxels than this, a large part of the run time is serial Python code:
#: two such pairs take longer in two threads than one after the other.
SMALL = 2**17


@dataclass(frozen=True)
class PairTask:
    """A pair as arguments of :func:`varreg.solve`.

    Parameters
    ----------
    label : str
        Position and names of the pair, for messages.
    arguments : dict
        `moving`, `fixed` and the other arguments of this pair.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.ones((64, 64, 64))
    >>> PairTask("pairs[0]", {"moving": image, "fixed": image}).is_small
    False
    """

    label: str
    arguments: dict[str, Any]

    @property
    def voxels(self) -> int | None:
        """Number of voxels of the fixed image; None for a file, which is not opened for this purpose."""
        image = self.arguments["fixed"]
        shape = getattr(image.data if isinstance(image, Image) else image, "shape", None)
        return None if shape is None else math.prod(shape)

    @property
    def is_small(self) -> bool:
        """Whether the fixed image is known to have fewer than `SMALL` voxels."""
        return self.voxels is not None and self.voxels < SMALL

    def images_in_memory(self) -> dict[str, Any]:
        """The images that are not files, as :class:`varreg.Image`, or lists with such images.

        Images can be pickled whatever their source, and keep the name of their file.

        Raises
        ------
        Exception
            If one of them is not an image; see :func:`varreg.images.accepted.as_image`.
        """
        return {
            name: _in_memory(self.arguments[name], name)
            for name in REQUIRED
            if not isinstance(self.arguments[name], (str, os.PathLike))
        }


def as_pair_task(pair: Any, position: int, function: str) -> PairTask:
    """The task of a pair in any accepted form.

    Parameters
    ----------
    pair : (moving, fixed), or mapping
        A mapping has the keys of `REQUIRED` and any of `OPTIONAL`.
    position : int
        Position in the batch, from 0.
    function : str
        Name for the messages.

    Returns
    -------
    PairTask

    Raises
    ------
    InputError
        If it is not a pair; the images themselves are not validated.

    Examples
    --------
    >>> as_pair_task(("t2.nii", "t1.nii"), 4, "varreg.solve_batch").label
    "pairs[4] (moving 't2.nii', fixed 't1.nii')"
    """
    if isinstance(pair, Mapping):
        arguments = dict(pair)
        _refuse_keys(arguments, position, function)
    elif isinstance(pair, (tuple, list)) and len(pair) == len(REQUIRED):
        arguments = dict(zip(REQUIRED, pair, strict=True))
    else:
        length = f" of length {len(pair)}" if isinstance(pair, (tuple, list)) else ""
        raise InputError(
            f"{function}: `pairs[{position}]` must be (moving, fixed) or a dictionary with these "
            f"keys; got {type(pair).__name__}{length}. A single pair goes into a list: "
            "[(moving, fixed)]."
        )
    names = ", ".join(f"{key} {_name(arguments[key])}" for key in REQUIRED)
    return PairTask(f"pairs[{position}] ({names})", arguments)


def located(error: BaseException, label: str) -> BaseException:
    """The same error with the label of its pair in the message.

    Parameters
    ----------
    error : BaseException
        Its type is kept, because callers catch by type.
    label : str
        Label of the task.

    Returns
    -------
    BaseException
        `error` itself.

    Examples
    --------
    >>> located(InputError("varreg.solve: `moving` is constant."), "pairs[2]")
    InputError('pairs[2]: varreg.solve: `moving` is constant.')
    """
    words = error.args[0] if len(error.args) == 1 else None
    if isinstance(words, str) and str(error) == words:
        error.args = (f"{label}: {words}",)
    elif hasattr(error, "add_note"):  # from Python 3.11; not all messages can be changed
        error.add_note(f"{label}.")
    return error


def _refuse_keys(arguments: dict[Any, Any], position: int, function: str) -> None:
    missing = [key for key in REQUIRED if key not in arguments]
    unknown = [key for key in arguments if key not in REQUIRED + OPTIONAL]
    if not missing and not unknown:
        return
    problem = f"lacks {_listed(missing)}" if missing else f"has the unknown {_listed(unknown)}"
    raise InputError(
        f"{function}: `pairs[{position}]` {problem}; a dictionary has {_listed(REQUIRED)} and "
        f"optionally {_listed(OPTIONAL)}. What applies to all pairs is an argument of "
        f"{function}."
    )


def _in_memory(value: Any, argument: str) -> Any:
    if is_several(value):
        return [_in_memory(each, f"{argument}[{k}]") for k, each in enumerate(value)]
    return value if isinstance(value, (str, os.PathLike)) else as_image(value, argument=argument)


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))


def _name(image: Any) -> str:
    """Path or name of an image, otherwise its type."""
    if isinstance(image, (str, os.PathLike)):
        return repr(os.fsdecode(image))
    path = image.get_filename() if hasattr(image, "get_filename") else getattr(image, "name", None)
    return repr(os.fsdecode(path)) if path else type(image).__name__
