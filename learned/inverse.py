r"""The inverse of a displacement on its own grid.

The inverse v of id + u solves :math:`v(x) = -u(x + v(x))` (Chen et al. 2008,
doi:10.1118/1.2816107).  The paper (section 2.1.3 of doi 10.3390/math14122131) takes
:math:`-u(x + u(x))` instead, which is not an inverse: to second order its error is
:math:`2 (\nabla u) u`, twice that of simply taking -u.
"""

from __future__ import annotations

import torch
from torch import Tensor

from varreg.errors import InputError

from .field_checks import check_displacement
from .spatial import warp

METHODS = ("fixed-point", "paper")


def inverse_displacement(u: Tensor, method: str = "fixed-point", iterations: int = 5) -> Tensor:
    r"""v such that (id + u) o (id + v) is near the identity; differentiable by autograd.

    Parameters
    ----------
    u : (N, d, \*S) tensor
        Displacement in voxels.
    method : {"fixed-point", "paper"}
        "fixed-point" iterates :math:`v \leftarrow -u(x + v(x))` from v = -u.  It contracts where
        :math:`|\nabla u| < 1`; look at :func:`inverse_residual`.  "paper" is
        :math:`-u(x + u(x))`, for comparison only.
    iterations : int
        Steps of the fixed point; 0 is v = -u.  Every step keeps one warp for the derivative.

    Returns
    -------
    (N, d, \*S) tensor, in voxels.

    Raises
    ------
    InputError
        If u is no displacement, or the method or the number of iterations makes no sense.

    Examples
    --------
    >>> import torch
    >>> shift = torch.full((1, 2, 3, 4), 0.25)
    >>> inverse_displacement(shift)[0, 0, 0, 0].item()
    -0.25
    """
    check_displacement("learned.inverse.inverse_displacement", "u", u)
    if method not in METHODS:
        raise InputError(
            "learned.inverse.inverse_displacement: `method` must be one of "
            f"{', '.join(map(repr, METHODS))}; got {method!r}."
        )
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise InputError(
            "learned.inverse.inverse_displacement: `iterations` must be a whole number from 0; got "
            f"{iterations!r}."
        )
    if method == "paper":
        return -warp(u, u)
    v = -u
    for _ in range(iterations):
        v = -warp(u, v)
    return v


def inverse_residual(u: Tensor, v: Tensor) -> Tensor:
    r"""How far (id + u) o (id + v) takes each voxel from where it was, (N, 1, \*S) voxels.

    Parameters
    ----------
    u, v : (N, d, \*S) tensors
        A displacement and its inverse, in voxels.

    Examples
    --------
    >>> import torch
    >>> shift = torch.full((1, 2, 3, 4), 3.0)
    >>> inverse_residual(shift, -shift).max().item()
    0.0
    """
    check_displacement("learned.inverse.inverse_residual", "u", u)
    if u.shape != v.shape:
        raise InputError(
            "learned.inverse.inverse_residual: `u` and `v` must be of one shape; got "
            f"{tuple(u.shape)} and {tuple(v.shape)}."
        )
    return torch.linalg.vector_norm(v + warp(u, v), dim=1, keepdim=True)
