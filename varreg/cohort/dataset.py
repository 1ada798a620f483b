"""Images of a BIDS dataset by participant and session."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BackendError, FileError, InputError

EXTENSIONS = (".nii.gz", ".nii")
#: Entities that identify participant and session, and do not distinguish images of one session.
_OWNER = ("sub", "ses")
_SHOWN = 5  # of many names


@dataclass(frozen=True)
class Scan:
    """One image.

    Parameters
    ----------
    path : Path
    suffix : str
        Contrast: "T1w", "T2w", "FLAIR", ...
    entities : str
        Entities that distinguish it from others of the same contrast: "acq-fast_run-2"; may be empty.
    kind : str
        Data type folder, such as "anat".
    """

    path: Path
    suffix: str
    entities: str
    kind: str

    def named(self, session: Session) -> str:
        """Prefix of the names of its derivatives."""
        return "_".join(filter(None, (session.name, self.entities)))


@dataclass(frozen=True)
class Session:
    """The images of one session of a participant, or of a participant without sessions.

    Parameters
    ----------
    participant, label : str
        Labels of the participant and the session without "sub-" and "ses-"; "" without sessions.
    scans : tuple of Scan
    """

    participant: str
    label: str
    scans: tuple[Scan, ...]

    @property
    def name(self) -> str:
        """Prefix of its file names."""
        return "_".join(self._parts)

    @property
    def folder(self) -> Path:
        """Its folder within a dataset."""
        return Path(*self._parts)

    @property
    def _parts(self) -> list[str]:
        session = [f"ses-{self.label}"] if self.label else []
        return [f"sub-{self.participant}", *session]

    def of(self, suffix: str) -> list[Scan]:
        """Its images of a contrast, sorted by name."""
        return [scan for scan in self.scans if scan.suffix == suffix]


def read_sessions(
    dataset: str | os.PathLike[str],
    suffixes: Iterable[str],
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> list[Session]:
    """The sessions of a dataset with at least one image of the given contrasts.

    Parameters
    ----------
    dataset : str or PathLike
        With a ``dataset_description.json``.  Only the folders of the chosen participants are read.
    suffixes : iterable of str
    participants, sessions : sequence of str
        Labels, with or without "sub-" and "ses-"; all if empty.

    Returns
    -------
    list of Session
        Sorted by name.

    Raises
    ------
    FileError
        If it is not a BIDS dataset.
    InputError
        If a label matches no participant, or no participant has such an image.
    BackendError
        If ``ancpbids`` is not installed.
    """
    folder = Path(os.path.abspath(Path(os.fsdecode(dataset)).expanduser()))
    chosen = _chosen(folder, [label.removeprefix("sub-") for label in participants])
    wanted = tuple(dict.fromkeys(suffixes))
    found = dict[tuple[str, str], list[Scan]]()
    for owner, scan in _scans(folder, chosen, wanted):
        found.setdefault(owner, []).append(scan)
    labels = [label.removeprefix("ses-") for label in sessions]
    _refuse_unknown("session", labels, sorted({session for _, session in found}), folder)
    read = [
        Session(*owner, tuple(sorted(scans, key=lambda scan: scan.path.name)))
        for owner, scans in sorted(found.items())
        if not labels or owner[1] in labels
    ]
    if not read:
        raise InputError(
            f"varreg.bids: no image of {' or '.join(wanted)} in {str(folder)!r} for {len(chosen)} "
            f"participant{'' if len(chosen) == 1 else 's'}; check the labels, and that names end in "
            f"_{wanted[0]}.nii.gz."
        )
    return read


def _chosen(folder: Path, labels: list[str]) -> list[str]:
    """Labels of the participants whose folders are read."""
    if not folder.is_dir():
        raise FileError(
            f"varreg.bids: {str(folder)!r} is not a folder; give that of a BIDS dataset."
        )
    if not (folder / "dataset_description.json").is_file():
        raise FileError(
            f"varreg.bids: {str(folder)!r} is no BIDS dataset, for it has no dataset_description.json; see "
            "https://bids-specification.readthedocs.io."
        )
    if labels and all((folder / f"sub-{label}").is_dir() for label in labels):
        return sorted(set(labels))  # so that an array task does not read all folders
    there = sorted(entry.name[4:] for entry in folder.glob("sub-*") if entry.is_dir())
    if not there:
        raise FileError(
            f"varreg.bids: {str(folder)!r} has no folder sub-..., so it has no participants."
        )
    _refuse_unknown("participant", labels, there, folder)
    return [label for label in there if not labels or label in labels]


def _refuse_unknown(kind: str, labels: list[str], there: list[str], folder: Path) -> None:
    unknown = [label for label in dict.fromkeys(labels) if label not in there]
    if unknown:
        known = ", ".join(filter(None, there[:_SHOWN])) + (", ..." if len(there) > _SHOWN else "")
        raise InputError(
            f"varreg.bids: --{kind}-label {' '.join(unknown[:_SHOWN])} is in no image of {str(folder)!r}; there are "
            f"{len(there)}: {known or 'none'}."
        )


def _scans(
    folder: Path, participants: list[str], suffixes: tuple[str, ...]
) -> Iterable[tuple[tuple[str, str], Scan]]:
    try:
        from ancpbids import BIDSLayout
    except ImportError:
        raise BackendError(
            "varreg.bids: BIDS datasets are read by ancpbids; install it: python -m pip install 'varreg[bids]'."
        ) from None
    paths = [path for label in participants for path in _files(folder, f"sub-{label}")]
    layout = BIDSLayout(str(folder), paths=["dataset_description.json", *paths])
    found: list[Any] = layout.get(suffix=list(suffixes), extension=list(EXTENSIONS))
    for artifact in found:
        entities = {key: str(value) for key, value in artifact.get_entities().items()}
        owner = entities.get("sub", ""), entities.get("ses", "")
        path = Path(artifact.get_absolute_path())
        yield owner, Scan(path, str(artifact.suffix), _others(path), path.parent.name)


def _files(folder: Path, name: str) -> list[str]:
    """Relative paths of a participant's files; no other folder is read."""
    return [
        os.path.relpath(os.path.join(place, file), folder)
        for place, _, files in os.walk(folder / name)
        for file in files
    ]


def _others(path: Path) -> str:
    """The entities of a name between session and suffix."""
    parts = path.name.split(".")[0].split("_")[:-1]
    return "_".join(part for part in parts if part.split("-")[0] not in _OWNER)


def relative_uri(path: Path, dataset: Any) -> str:
    """URI of an image of the dataset in the metadata of derivatives.

    Examples
    --------
    >>> relative_uri(Path("/data/sub-01/anat/a.nii"), "/data")
    'bids:raw:sub-01/anat/a.nii'
    """
    try:
        return f"bids:raw:{path.relative_to(dataset).as_posix()}"
    except ValueError:
        return path.name
