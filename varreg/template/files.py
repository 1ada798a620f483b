"""Templates on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ..exchange.writing import write_transform
from ..io.files import atomic_folder, write_image, write_json
from ..io.records import plain

if TYPE_CHECKING:
    from .template import Template

RECORD = "template.json"


def save(template: Template, path: str | os.PathLike[str], overwrite: bool) -> None:
    """See :meth:`Template.save`."""
    with atomic_folder(path, overwrite=overwrite, marker=RECORD) as folder:
        for number, image in enumerate(template.images, 1):
            name = "template.nii.gz" if number == 1 else f"template-{number}.nii.gz"
            write_image(folder / name, image.data, image)
        first = template.image
        shown = np.ones(first.grid.shape, bool) if first.valid is None else first.valid
        write_image(folder / "shown.nii.gz", shown.astype(np.uint8), first)
        (folder / "maps").mkdir()
        for name, transform in zip(template.names, template.transforms, strict=True):
            write_transform(transform, folder / "maps" / f"{name}.nii.gz")
        write_json(folder / RECORD, content(template))


def content(template: Template) -> dict[str, Any]:
    """All of a template except its arrays, as JSON.

    ``affine`` contains the matrices of the maps, template world -> participant's world (RAS+ mm).
    """
    return {
        "format": "varreg template",
        "varreg": __version__,
        "people": list(template.names),
        "warnings": [str(check) for check in template.warnings],
        "checks": [plain(check) for check in template.checks],
        "notes": list(template.notes),
        "rounds": [plain(each) for each in template.rounds],
        "affine": {
            name: each.affine.tolist()
            for name, each in zip(template.names, template.transforms, strict=True)
        },
        "options": plain(template.options),
    }
