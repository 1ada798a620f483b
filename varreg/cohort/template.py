"""The template of a cohort: a file, or a TemplateFlow name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, InputError
from ..images.opening import SUFFIXES

_NAME = re.compile(r"[A-Za-z0-9]+")
_FLOW = "TEMPLATEFLOW_HOME"


@dataclass(frozen=True)
class Template:
    """A template.

    Parameters
    ----------
    label : str
        Label of its space in file names.
    path : Path
    """

    label: str
    path: Path


def template_of(given: str | os.PathLike[str]) -> Template:
    """The template given by a path or name.

    Parameters
    ----------
    given : str or PathLike
        An image; or a TemplateFlow name, such as "MNI152NLin2009cAsym", whose T1w image of 1 mm is read from
        the local TemplateFlow folder.  Nothing is downloaded.

    Raises
    ------
    InputError
        If it is neither.
    FileError
        If the local TemplateFlow folder does not contain it.

    Examples
    --------
    >>> template_of("absent.nii.gz")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.bids: the template 'absent.nii.gz' does not exist; check the path.
    """
    text = os.fsdecode(given)
    path = Path(text).expanduser()
    if path.is_file():
        return Template(_label(path), Path(os.path.abspath(path)))
    if text.lower().endswith(tuple(SUFFIXES)) or os.sep in text:
        raise FileError(f"varreg.bids: the template {text!r} does not exist; check the path.")
    if not _NAME.fullmatch(text):
        raise InputError(
            f"varreg.bids: --to {text!r} is neither a file nor a name of TemplateFlow; give e.g. template.nii.gz or "
            "MNI152NLin2009cAsym."
        )
    return Template(text, _of_flow(text))


def _label(path: Path) -> str:
    """Letters and digits that name the space of a file: those after tpl-, or its name."""
    stem = path.name.split(".")[0]
    named = re.match(r"tpl-([A-Za-z0-9]+)(_|$)", stem)
    return named[1] if named else re.sub(r"[^A-Za-z0-9]", "", stem) or "template"


def _of_flow(name: str) -> Path:
    home = Path(os.environ.get(_FLOW) or Path.home() / ".cache" / "templateflow").expanduser()
    folder = home / f"tpl-{name}"
    for file in (f"tpl-{name}_res-01_T1w.nii.gz", f"tpl-{name}_T1w.nii.gz"):
        # TemplateFlow stores an empty file for each known image that was not downloaded
        if (folder / file).is_file() and (folder / file).stat().st_size:
            return Path(os.path.abspath(folder / file))
    raise FileError(
        f"varreg.bids: the template {name} is not in {str(home)!r}, where TemplateFlow keeps its own ({_FLOW}); fetch it "
        f"once, where there is a network: pip install templateflow, python -c \"import templateflow.api as t; t.get('{name}', "
        "resolution=1, suffix='T1w')\". Or give --to the file of a template."
    )
