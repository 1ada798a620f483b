"""Tensors of a batch: what functions ask of them, their precision, and constants that are made once.

On a GPU each constant would wait for a copy from the host, and so would each look at values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from varreg.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
#: What rounding may add to an intensity or a weight at the ends of [0, 1].
ROUNDING = 1e-3
_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


def kept(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function of hashable arguments whose last results are cached; they must not be changed.

    Examples
    --------
    >>> ones = kept(lambda n: torch.ones(n))
    >>> ones(3) is ones(3)
    True
    """

    @lru_cache(maxsize=16)
    @wraps(function)
    def made(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        # what is made in inference mode could not be used in training afterwards
        with torch.inference_mode(False), torch.no_grad():
            return function(*arguments, **named)

    return made  # type: ignore[return-value]


@contextmanager
def trusted_values() -> Iterator[None]:
    """Within the block the values of images, which have been checked before, are not validated again: the host
    would have to wait for a GPU at each look.
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def are_trusted() -> bool:
    """Whether values need no look.

    Examples
    --------
    >>> with trusted_values():
    ...     are_trusted()
    True
    """
    return _TRUSTED.get()


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which products are not rounded to 16 bits, on the device of the tensor.

    Eight bits of precision cannot tell one voxel of an image from the next.
    """
    return torch.autocast(tensor.device.type, enabled=False)


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


def check_images(function: str, **images: Tensor) -> None:
    """Raise unless all are floating tensors (N, 1, *S) of one shape on one device, d = 2 or 3.

    Raises
    ------
    InputError
    """
    first: Tensor | None = None
    for name, image in images.items():
        if not isinstance(image, Tensor) or not image.is_floating_point():
            came = str(image.dtype) if isinstance(image, Tensor) else type(image).__name__
            raise InputError(f"{function}: `{name}` must be a floating tensor; got {came}.")
        if image.ndim not in (4, 5) or image.shape[1] != 1 or image.numel() == 0:
            raise InputError(
                f"{function}: `{name}` must be (N, 1, *S) with two or three axes in S, none empty; "
                f"got shape {tuple(image.shape)}."
            )
        first = image if first is None else first
        if image.shape != first.shape or image.device != first.device:
            raise InputError(
                f"{function}: `{name}` must have the shape and device of `{next(iter(images))}`, "
                f"{tuple(first.shape)} on {first.device}; got {tuple(image.shape)} on {image.device}."
            )


def check_range(function: str, name: str, image: Tensor, low: float, high: float) -> None:
    """Raise unless all values lie in [low, high], up to rounding; nan passes, and shows in the loss.

    Raises
    ------
    InputError
    """
    if are_trusted():
        return
    least, most = torch.aminmax(image.detach())
    if least < low - ROUNDING or most > high + ROUNDING:
        raise InputError(
            f"{function}: `{name}` must lie in [{low:g}, {high:g}]; got values from {float(least):g} "
            f"to {float(most):g}. Scale it, e.g. by varreg.images.intensities.unit_intensities."
        )


def check_finite(function: str, name: str, data: Tensor) -> None:
    """Raise unless all values are finite: what comes from a file must be, whatever a network does.

    Raises
    ------
    InputError
    """
    if not are_trusted() and not bool(torch.isfinite(data).all()):
        raise InputError(
            f"{function}: `{name}` has values that are not finite; mend or mask the data."
        )


def single_or_double(tensor: Tensor) -> Tensor:
    """In float32, or as it is in float64: no loss is computed in 16 bits."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def differentiable_once(backward: Callable[..., Result]) -> Callable[..., Result]:
    """A backward pass that refuses to be differentiated again.

    PyTorch's own ``once_differentiable`` says nothing where the outer gradient is a constant, and
    takes the derivative for one too.
    """

    @wraps(backward)
    def checked(ctx: Any, *gradients: Tensor) -> Result:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "learned.losses: mutual information can be differentiated once; "
                "leave out create_graph=True."
            )
        return backward(ctx, *gradients)

    return checked
