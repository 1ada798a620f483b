"""Interactive display of both registered images in notebooks by NiiVue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from .subject import with_images

if TYPE_CHECKING:
    from ..images.image import Image

#: Opacity of the warped image over the fixed one.
OPACITY = 0.5
#: Width of the crosshair, in voxels.
CROSSHAIR = 0.3


def view(result: Any, *, moving: Any = None, fixed: Any = None, height: int = 480) -> Any:
    """Show the warped image over the fixed one in a notebook, with a crosshair in all planes and in 3D.

    Requires ipyniivue: ``python -m pip install 'varreg[view]'``.

    Parameters
    ----------
    result : Result or Prediction
    moving, fixed : array, path, nibabel image or varreg.Image, optional
        The registered images, which a loaded result does not contain.
    height : int
        Height of the widget, in pixels.

    Returns
    -------
    ipyniivue.NiiVue
        Volume 0 is the fixed image, volume 1 the warped one, half transparent; both can be changed, e.g.
        ``widget.volumes[1].opacity = 0.0``.

    Raises
    ------
    BackendError
        If ipyniivue is not installed.
    InputError
        If the result contains no images and none are given.

    Examples
    --------
    >>> import varreg
    >>> varreg.view(result)  # doctest: +SKIP
    """
    try:
        from ipyniivue import NiiVue, ShowRender, Volume
    except ImportError as error:
        raise BackendError(
            f"varreg.view: the viewer requires ipyniivue, which cannot be imported ({error}); install it with "
            "`python -m pip install 'varreg[view]'`, or use result.plot() or result.report(path)."
        ) from error
    found = with_images(result, moving, fixed)
    assert found.fixed is not None
    solid = found.fixed.grid.dim == 3
    widget = NiiVue(
        height=height,
        multiplanar_show_render=ShowRender.ALWAYS if solid else ShowRender.NEVER,
        crosshair_width=CROSSHAIR,
    )
    layers = (("fixed", found.fixed, "gray", 1.0), ("warped", found.warped, "warm", OPACITY))
    widget.load_volumes(
        [
            Volume(name=f"{name}.nii", data=_bytes(image), colormap=colours, opacity=opacity)
            for name, image, colours, opacity in layers
        ]
    )
    return widget


def _bytes(image: Image) -> bytes:
    return bytes(image.to_nifti().to_bytes())
