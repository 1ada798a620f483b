"""A napari plugin: a widget for registration of two layers, and a reader of saved results.

napari finds both through ``napari.yaml``.  Only the widget itself requires Qt: the functions it calls, and the reader,
return napari's tuples ``(data, settings, type)``.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from napari.layers import Image as Layer
from napari.types import LayerDataTuple
from napari.utils.notifications import show_error, show_warning

from ..api import solve
from ..errors import InputError, VarregError
from ..images.image import Image
from ..results.result import Result

# Annotations stay objects in this file (no `from __future__ import annotations`): magicgui reads them.
# subsets of AFFINE_MODELS, REGULARITIES and PRESETS, repeated because magicgui reads the signature
Affine = Literal["auto", "affine", "similarity", "rigid", "translation"]
Deformable = Literal["auto", "yes", "no"]
Regularity = Literal["auto", "smooth", "fine"]
Preset = Literal["default", "fast", "accurate", "precise"]

#: Geometry of a layer, as keywords for another layer of the same dimension.
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
#: Largest number of arrows along an axis.
ARROWS = 24


def widget() -> Any:
    """The controls of :func:`register`, which is executed outside the GUI thread."""
    from magicgui import magicgui
    from napari.qt.threading import FunctionWorker, thread_worker

    def shown(*layers: Layer, **settings: Any) -> list[LayerDataTuple]:
        try:
            return register(*layers, **settings)
        except (
            VarregError
        ) as error:  # shown in the window, since raising might end a script that opened napari
            show_error(str(error))
            return []

    start = thread_worker(shown, start_thread=True, progress={"desc": "varreg"})
    # layers are added in the GUI thread when the worker has returned
    returned = inspect.signature(register).replace(
        return_annotation=FunctionWorker[list[LayerDataTuple]]
    )
    start.__signature__ = returned
    return magicgui(start, call_button="Register")


def register(
    moving: Layer,
    fixed: Layer,
    affine: Affine = "auto",
    deformable: Deformable = "auto",
    regularity: Regularity = "auto",
    preset: Preset = "default",
) -> list[LayerDataTuple]:
    """Register the layer `moving` to the layer `fixed`.

    Parameters
    ----------
    moving, fixed : napari.layers.Image
        Two images, both 2D or both 3D; their scale, translation, affine and units are respected.
    affine, deformable, regularity, preset
        As for :func:`varreg.solve`; "yes" and "no" are True and False.

    Returns
    -------
    list of LayerDataTuple
        The warped image and the displacement as arrows, both on the grid of `fixed`.
    """
    images = [image_of_layer(layer, name) for layer, name in ((moving, "moving"), (fixed, "fixed"))]
    chosen = {"auto": None, "yes": True, "no": False}[deformable]
    settings: dict[str, Any] = {"affine": affine, "deformable": chosen, "regularity": regularity}
    result = solve(*images, preset=preset, progress=False, **settings)
    for check in result.warnings:
        show_warning(str(check))
    place = {name: getattr(fixed, name) for name in PLACE}
    return layers_of(result, f"{moving.name} on {fixed.name}", place)


def reader(path: str | Sequence[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """The reader of a path, if it is a saved result: its folder or its ``result.json``."""
    if not isinstance(path, str | os.PathLike):
        return None
    folder = Path(path)
    file = folder / "result.json" if folder.is_dir() else folder
    return read if file.name == "result.json" and file.is_file() else None


def read(path: str) -> list[LayerDataTuple]:
    """The warped image and the displacement of a saved result, in world millimetres (RAS+)."""
    result = Result.load(path)
    grid = result.transform.fixed
    name = f"{result.moving_name or 'moving'} on {result.fixed_name or 'fixed'}"
    return layers_of(result, name, {"affine": grid.affine, "units": ("mm",) * grid.dim})


def image_of_layer(layer: Layer, argument: str) -> Image:
    """The image of a layer, in the world of napari, in mm."""
    if layer.rgb:
        raise InputError(
            f"varreg (napari): `{argument}` is the layer {layer.name!r}, which has colours; split its channels "
            "(right click on the layer, Split RGB) and choose one."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    axes = np.eye(layer.ndim)
    origin = np.array(layer.data_to_world(0 * axes[0]))
    matrix = np.eye(layer.ndim + 1)
    matrix[:-1, -1] = origin
    matrix[:-1, :-1] = np.transpose([layer.data_to_world(axis) - origin for axis in axes])
    matrix[:-1] *= np.array([_millimetres(unit) for unit in layer.units])[:, None]
    return Image.from_array(np.asarray(data), affine=matrix, name=layer.name)


def layers_of(result: Result, name: str, place: dict[str, Any]) -> list[LayerDataTuple]:
    """Warped image and displacement (arrows, fixed -> moving) of a result; `place` is the geometry of its voxels."""
    shape = result.transform.fixed.shape
    step = max(1, -(-max(shape) // ARROWS))
    thinned = tuple(slice(step // 2, n, step) for n in shape)
    ends = np.mgrid[thinned], result.displacement[(slice(None), *thinned)]
    arrows = np.reshape(ends, (2, len(shape), -1)).transpose(2, 0, 1).astype(np.float32)
    attributes = {**place, "metadata": {"varreg": str(result)}}
    width = {"edge_width": step / 12, "vector_style": "arrow"}
    image = result.warped.values, {**attributes, "name": name}, "image"
    field = arrows, {**attributes, **width, "name": f"{name}: displacement"}, "vectors"
    return [LayerDataTuple(image), LayerDataTuple(field)]


def _millimetres(unit: Any) -> float:
    """Millimetres per unit of a layer; a pixel is 1 mm, as for an array."""
    return float((1 * unit).to("mm").magnitude) if unit.is_compatible_with("mm") else 1.0
