"""The job of one session: its registrations, and its folder of derivatives, written atomically."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..api import solve
from ..errors import GeometryError
from ..exchange.composing import composed
from ..geometry.affine_parts import affine_parts
from ..io.atomic import atomic_folder
from ..jobs.job import Done, Job
from ..results.result import Result
from ..transforms.transform import Transform
from .dataset import Scan, Session
from .derivatives import Derivatives

if TYPE_CHECKING:
    from .wanted import Wanted


def register_session(job: Job, threads: int) -> Done:
    """Register the images of a session and write its folder.

    Parameters
    ----------
    job : Job
        Job from :func:`varreg.cohort.wanted.jobs_of`.
    threads : int
    """
    root, places = job.record.parent, job.places
    with atomic_folder(root, overwrite=True, marker=job.record.name) as folder:
        (folder / job.record.name).write_text(
            "{}\n"
        )  # until the record of the complete job is written
        files = Derivatives(folder, places["session"], places["dataset"])
        notes = list[str](places["notes"])
        work = _Work(places["session"], places["wanted"], files, threads, notes)
        facts = work.done(places["onto"], places["moving"])
        written = [root / path.relative_to(folder) for path in files.written]
    return Done(tuple(written), {"notes": notes, "registrations": facts})


@dataclass(frozen=True)
class _Work:
    """The registrations of a session."""

    session: Session
    wanted: Wanted
    files: Derivatives
    threads: int
    notes: list[str]

    def done(self, onto: Scan, moving: list[Scan]) -> list[dict[str, Any]]:
        """Register and write all outputs; returns the facts of each registration."""
        facts, to_template = list[dict[str, Any]](), None
        if self.wanted.template is not None:
            result = self._solved(onto.path, self.wanted.template.path)
            to_template, label = result.transform, self.wanted.template.label
            facts.append(self._written(onto, label, result))
            self._write_back(onto, label, result)
        for scan in moving:
            result = self._solved(scan.path, onto.path)
            facts.append(self._written(scan, onto.suffix, result))
            if to_template is not None:
                self._write_through(scan, result.transform, to_template)
        return facts

    def _solved(self, moving: Path, fixed: Path) -> Result:
        wanted = self.wanted
        where = {"backend": wanted.backend, "device": wanted.device, "threads": self.threads}
        return solve(moving, fixed, options=wanted.options, progress=False, **where)  # type: ignore[arg-type]

    def _written(self, scan: Scan, space: str, result: Result) -> dict[str, Any]:
        files = self.files
        files.write_transform(scan, scan.suffix, space, result)
        files.write_image(scan, space, result.warped.values, result.warped, result.fixed_name)
        figure = files.write_figure(scan, space, result)
        return _facts(scan, space, result) | {"figure": figure}

    def _write_back(self, scan: Scan, space: str, result: Result) -> None:
        """The map from the template to the participant, for regions drawn on the template."""
        try:
            self.files.write_transform(scan, space, scan.suffix, result, inverse=True)
        except GeometryError as error:  # it folds, or nearly folds
            self.notes.append(f"The inverse of {scan.suffix} to {space} is left out: {error}")

    def _write_through(self, scan: Scan, within: Transform, to_template: Transform) -> None:
        """An image in template space, interpolated once."""
        assert self.wanted.template is not None
        through, label = composed(to_template, within), self.wanted.template.label
        values = through.warp(scan.path, threads=self.threads)
        like, reference = self.files.image_of(self.wanted.template.path)
        self.files.write_image(scan, label, values, like, reference)


def _facts(scan: Scan, space: str, result: Result) -> dict[str, Any]:
    """Values of a registration for the tables and the page of a cohort."""
    degrees, scales, shift = affine_parts(result.affine, result.transform.fixed)
    motion = result.motion
    return {
        "image": scan.path.name,
        "from": scan.suffix,
        "to": space,
        "failed_checks": [check.name for check in result.warnings],
        "warnings": [str(check) for check in result.warnings],
        "notes": list(result.notes),
        "similarity_before": float(result.start_energy.similarity),
        "similarity_after": float(result.energy.similarity),
        "energy": float(result.energy.total),
        "smallest_determinant": float(result.smallest_determinant),
        "overlap": float(result.overlap),
        "degrees": float(degrees),
        "shift": float(shift),
        "scale": float(np.exp(np.abs(np.log(np.abs(scales))).max())),
        "moved": 0.0 if motion is None else float(motion.mean),
        "voxels": int(np.prod(result.transform.fixed.shape)),
        "seconds": float(result.seconds),
    }
