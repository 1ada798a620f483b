"""Validation and precision of tensors, and cached constants.

On a GPU, each new constant requires a copy from the host, and each validation of values a synchronisation.
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
#: Tolerance for rounding of intensities and weights at the ends of [0, 1].
ROUNDING = 1e-3
_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


def kept(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Cache the last results of a function of hashable arguments; they must not be modified.

    Examples
    --------
    >>> ones = kept(lambda n: torch.ones(n))
    >>> ones(3) is ones(3)
    True
    """

    @lru_cache(maxsize=16)
    @wraps(function)
    def made(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        # tensors created in inference mode could not be used in training
        with torch.inference_mode(False), torch.no_grad():
            return function(*arguments, **named)

    return made  # type: ignore[return-value]


@contextmanager
def trusted_values() -> Iterator[None]:
    """Context in which values of images are not validated, because they have been before.

    Each validation would synchronise with the GPU.
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def are_trusted() -> bool:
    """Whether values are not to be validated.

    Examples
    --------
    >>> with trusted_values():
    ...     are_trusted()
    True
    """
    return _TRUSTED.get()


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Context without autocast on the device of a tensor.

    The eight bits of precision of bfloat16 do not suffice for voxel coordinates.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def check_displacement(function: str, name: str, displacement: Any) -> None:
    """Check that a displacement is a floating-point tensor (N, d, *S) with d = 2 or 3 non-empty axes in S.

    Parameters
    ----------
    function, name : str
        Names of the function and of its argument, for the message.

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
        received = getattr(displacement, "dtype", type(displacement).__name__)
        raise InputError(f"{function}: `{name}` must be a floating-point tensor; got {received}.")
    shape = tuple(displacement.shape)
    if displacement.ndim not in (4, 5) or shape[1] != len(shape) - 2 or displacement.numel() == 0:
        raise InputError(
            f"{function}: `{name}` must be (N, d, *S) with d = 2 or 3 axes in S; got shape {shape}."
        )


def check_shape(function: str, shape: Sequence[int], displacement: Tensor) -> None:
    """Check that a shape has one positive number per axis of the displacement.

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
    """Check that images are floating-point tensors (N, 1, *S) with the same shape and device, d = 2 or 3.

    Raises
    ------
    InputError
    """
    first: Tensor | None = None
    for name, image in images.items():
        if not isinstance(image, Tensor) or not image.is_floating_point():
            received = str(image.dtype) if isinstance(image, Tensor) else type(image).__name__
            raise InputError(
                f"{function}: `{name}` must be a floating-point tensor; got {received}."
            )
        if image.ndim not in (4, 5) or image.shape[1] != 1 or image.numel() == 0:
            raise InputError(
                f"{function}: `{name}` must be (N, 1, *S) with two or three non-empty axes in S; "
                f"got shape {tuple(image.shape)}."
            )
        first = image if first is None else first
        if image.shape != first.shape or image.device != first.device:
            raise InputError(
                f"{function}: `{name}` must have the shape and device of `{next(iter(images))}`, "
                f"{tuple(first.shape)} on {first.device}; got {tuple(image.shape)} on {image.device}."
            )


def check_range(function: str, name: str, image: Tensor, low: float, high: float) -> None:
    """Check that values are in [low, high], up to rounding; nan is accepted, and propagates to the loss.

    Raises
    ------
    InputError
    """
    if are_trusted():
        return
    least, most = torch.aminmax(image.detach())
    if least < low - ROUNDING or most > high + ROUNDING:
        raise InputError(
            f"{function}: `{name}` must be in [{low:g}, {high:g}]; got values from {float(least):g} "
            f"to {float(most):g}. Scale it, e.g. by varreg.images.intensities.unit_intensities."
        )


def check_finite(function: str, name: str, data: Tensor) -> None:
    """Check that all values of input data are finite.

    Raises
    ------
    InputError
    """
    if not are_trusted() and not bool(torch.isfinite(data).all()):
        raise InputError(
            f"{function}: `{name}` has values that are not finite; correct or mask the data."
        )


def single_or_double(tensor: Tensor) -> Tensor:
    """Tensor in float32, or unchanged in float64, because losses are not computed in 16 bits."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def differentiable_once(backward: Callable[..., Result]) -> Callable[..., Result]:
    """Decorator of a backward pass that raises an error if it is differentiated again.

    PyTorch's ``once_differentiable`` does not raise if the outer gradient is constant, and then treats the
    derivative as constant as well.
    """

    @wraps(backward)
    def checked(ctx: Any, *gradients: Tensor) -> Result:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "learned.losses: mutual information can be differentiated only once; "
                "omit create_graph=True."
            )
        return backward(ctx, *gradients)

    return checked
