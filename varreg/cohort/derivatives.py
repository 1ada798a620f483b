"""BIDS derivatives: names, images, transforms and their JSON sidecars."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import FileError
from ..exchange.writing import write_transform
from ..images.loading import geometry
from ..io.files import atomic_path, read_json, write_image, write_json
from ..report.thumbnail import thumbnail
from ..results.result import Result
from ..transforms.transform import Transform
from .dataset import Scan, Session, relative_uri

BIDS_VERSION = "1.10.0"
DESCRIPTION, IGNORED = "dataset_description.json", ".bidsignore"
#: BIDS does not yet define transforms (BEP 14), figures and pages.
NOT_BIDS = ("*_xfm.*", "figures", "group.html", "group.tsv")
README = """Registrations by varreg.

`*_from-A_to-B_mode-image_xfm.h5` brings images of A to B (`antsApplyTransforms -t`, `varreg apply -t`); the JSON file beside
it holds options, versions and checks. `*_space-B_desc-registered_*` are images brought to B.
"""


@dataclass
class Derivatives:
    """Writer of the files of one session.

    Parameters
    ----------
    folder : Path
        Folder of the session, under construction.
    session : Session
    dataset : Path
        Source dataset of the images.
    written : list of Path
        Files written so far.
    """

    folder: Path
    session: Session
    dataset: Path
    written: list[Path] = field(default_factory=list)

    def write_transform(
        self, scan: Scan, source: str, target: str, value: Result | Transform, inverse: bool = False
    ) -> None:
        """Write ``from-SOURCE_to-TARGET_mode-image_xfm.h5`` and its JSON sidecar."""
        name = f"{scan.named(self.session)}_from-{source}_to-{target}_mode-image_xfm.h5"
        path = self._place(scan.kind) / name
        write_transform(value, path, "itk", inverse=inverse)
        self.written += [path, path.with_suffix(".json")]

    def write_image(
        self, scan: Scan, space: str, values: NDArray[Any], like: Any, reference: str
    ) -> None:
        """Write ``space-SPACE_desc-registered_SUFFIX.nii.gz`` and its JSON sidecar."""
        stem = f"{scan.named(self.session)}_space-{space}_desc-registered_{scan.suffix}"
        path = self._place(scan.kind) / f"{stem}.nii.gz"
        write_image(path, np.asarray(values), like)
        metadata = {
            "Description": f"The {scan.suffix} image, brought to {space} by varreg and interpolated once (linear).",
            "Sources": [relative_uri(scan.path, self.dataset)],
            "SpatialReference": reference,
            "SkullStripped": False,
            "GeneratedBy": f"varreg {__version__}",
        }
        write_json(path.with_name(f"{stem}.json"), metadata)
        self.written += [path, path.with_name(f"{stem}.json")]

    def write_figure(self, scan: Scan, space: str, result: Result) -> str:
        """Write a picture for visual quality control; returns its path in the folder of the session."""
        name = f"{scan.named(self.session)}_from-{scan.suffix}_to-{space}_desc-edges.webp"
        path = self._place("figures") / name
        with atomic_path(path) as file:
            thumbnail(result).save(file, "WEBP", quality=70, method=3)
        self.written.append(path)
        return path.relative_to(self.folder).as_posix()

    def image_of(self, path: Path) -> tuple[Any, str]:
        """An empty image on the grid of a file, and its name."""
        return geometry(path, "template", "varreg.bids"), path.name

    def _place(self, kind: str) -> Path:
        place = self.folder / kind
        place.mkdir(exist_ok=True)
        return place


def write_description(output: Path, dataset: Path) -> None:
    """Write the dataset description of the derivatives, unless it exists.

    Parameters
    ----------
    output, dataset : Path
        Folders of the derivatives and of the source images.

    Raises
    ------
    FileError
        If the folder holds derivatives of another program.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / DESCRIPTION
    if path.is_file():
        made = read_json(path).get("GeneratedBy", [])
        if not any(isinstance(by, dict) and by.get("Name") == "varreg" for by in made):
            raise FileError(
                f"varreg.bids: {str(output)!r} is a dataset that varreg did not make ({DESCRIPTION}); give OUT_DIR a "
                "folder of its own, such as BIDS_DIR/derivatives/varreg."
            )
    content = {
        "Name": "varreg: registrations",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "varreg", "Version": __version__}],
        "SourceDatasets": [{"URL": dataset.as_uri()}],
        "DatasetLinks": {"raw": dataset.as_uri()},
    }
    if not path.is_file() or read_json(path) != content:
        write_json(path, content, overwrite=True)
    ignored = "".join(f"{pattern}\n" for pattern in NOT_BIDS)
    for name, text in (("README.md", README), (IGNORED, ignored)):
        if not (output / name).exists():  # many tasks start at once, and it may have been edited
            with atomic_path(output / name, overwrite=True) as file:
                file.write_text(text)
