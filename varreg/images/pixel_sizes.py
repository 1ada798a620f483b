"""Pixel sizes of TIFF files: OME metadata, ImageJ metadata, resolution tags."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

#: Millimetres per unit of length used in TIFF files.
UNITS = {
    "m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "\\u00b5m": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "micrometer": 1e-3, "nm": 1e-6, "inch": 25.4, "in": 25.4,
}  # fmt: skip
#: Pixels per inch that programs write as a placeholder for an unknown pixel size.
SCREENS = (72.0, 96.0)


def pixel_size(path: Path) -> tuple[float, float] | None:
    """Height and width of a pixel in mm; None if not stated, or only as a screen resolution.

    Parameters
    ----------
    path : Path
        A TIFF.

    Examples
    --------
    >>> pixel_size(Path("slide.ome.tif"))  # doctest: +SKIP
    (0.0005, 0.0005)
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags  # type: ignore[union-attr]
        if file.is_ome:
            return _of_ome(file.ome_metadata or "")
        across, down = (_ratio(tags.get(name)) for name in ("XResolution", "YResolution"))
        if not (across and down):
            return None
        unit = _imagej_unit(file.imagej_metadata) if file.is_imagej else _unit(tags)
    if unit is None:
        return None
    return _usable(unit / down, unit / across)


def _ratio(tag: Any) -> float | None:
    """Pixels per unit, from a rational TIFF tag."""
    if tag is None:
        return None
    value = tag.value
    try:
        top, bottom = value if isinstance(value, tuple) else (value, 1)
        return float(top) / float(bottom)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _unit(tags: Any) -> float | None:
    """Millimetres per unit of the resolution tags; None without a unit, or for a screen resolution."""
    unit = tags.get("ResolutionUnit")
    kind = 2 if unit is None else int(unit.value)
    if kind == 2 and all(
        _ratio(tags.get(name)) in SCREENS for name in ("XResolution", "YResolution")
    ):
        return None
    return {2: 25.4, 3: 10.0}.get(kind)


def _imagej_unit(metadata: dict[str, Any] | None) -> float | None:
    return UNITS.get(str((metadata or {}).get("unit", "")).lower())


def _of_ome(text: str) -> tuple[float, float] | None:
    """PhysicalSizeY and PhysicalSizeX of the first image, by regular expression: untrusted XML is not parsed."""
    element = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", text)
    found = dict(
        re.findall(r'(PhysicalSize[XY](?:Unit)?)="([^"]*)"', element[1] if element else "")
    )
    sizes = []
    for axis in "YX":
        try:
            size = float(found[f"PhysicalSize{axis}"])
            sizes.append(size * UNITS[found.get(f"PhysicalSize{axis}Unit", "µm").lower()])
        except (KeyError, ValueError):
            return None
    return _usable(*sizes)


def _usable(down: float, across: float) -> tuple[float, float] | None:
    """Pixel sizes if they are plausible, else None."""
    good = all(math.isfinite(size) and size > 0 for size in (down, across))
    return (down, across) if good else None
