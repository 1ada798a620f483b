"""What every function on displacements asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from varreg.errors import InputError


def check_displacement(function: str, name: str, displacement: Any) -> None:
    """Raise unless it is a floating tensor (N, d, *S) with d = 2 or 3 axes in S, none of them empty.

    Parameters
    ----------
    function, name : str
        Of the function and its argument, for the message.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> check_displacement("learned.spatial.warp", "displacement", torch.zeros(2, 5, 6))
    Traceback (most recent call last):
    varreg.errors.InputError: learned.spatial.warp: `displacement` must be (N, d, *S) with ...
    """
    if not isinstance(displacement, Tensor) or not displacement.is_floating_point():
        came = getattr(displacement, "dtype", type(displacement).__name__)
        raise InputError(f"{function}: `{name}` must be a floating tensor; got {came}.")
    shape = tuple(displacement.shape)
    if displacement.ndim not in (4, 5) or shape[1] != len(shape) - 2 or displacement.numel() == 0:
        raise InputError(
            f"{function}: `{name}` must be (N, d, *S) with d = 2 or 3 axes in S; got shape {shape}."
        )


def check_shape(function: str, shape: Sequence[int], displacement: Tensor) -> None:
    """Raise unless there is one number of voxels per axis of the displacement.

    Raises
    ------
    InputError
    """
    if len(shape) != displacement.shape[1] or min(shape) < 1:
        raise InputError(
            f"{function}: `shape` must be {displacement.shape[1]} numbers of voxels; got "
            f"{tuple(shape)}."
        )
