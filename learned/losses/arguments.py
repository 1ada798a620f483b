"""What all losses ask of their tensors, and the precision in which they compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

from varreg.errors import InputError

from ..constants import are_trusted

Result = TypeVar("Result")

#: What rounding may add to an intensity or a weight at the ends of [0, 1].
ROUNDING = 1e-3


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
