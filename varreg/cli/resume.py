"""Finished pairs of a table: their records, and the remaining pairs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError

if TYPE_CHECKING:
    from ..batch.pair_table import TableRow
    from ..jobs.job import Job
    from ..results.result import Result

#: Name of the record in the folder of a result.
RECORD = "job.json"
#: Arguments of ``solve`` that do not change the result.
_HARMLESS = ("threads", "progress", "device")


class FinishedPairs:
    """The pairs of a table that are already registered.

    Parameters
    ----------
    folder : Path
        Folder of all results.
    rows : list of TableRow
    pairs : list of dict
        Images of each row, as for :func:`varreg.solve_batch`.
    arguments : dict
        Arguments of ``solve``, for all pairs.
    again : bool
        Whether to register finished pairs again.

    Attributes
    ----------
    facts : dict
        Name -> report of each finished pair, as a dict.

    Raises
    ------
    FileError
        If a pair already has a result of other images or options.
    """

    def __init__(
        self, folder: Path, rows: list[TableRow], pairs: list[dict[str, Any]],
        arguments: dict[str, Any], again: bool,
    ) -> None:  # fmt: skip
        self._jobs = {
            row.name: _job(row.name, folder / row.name / RECORD, pair, arguments)
            for row, pair in zip(rows, pairs, strict=True)
        }
        self._states = {name: _states(job) for name, job in self._jobs.items()}
        self.facts = {} if again else self._finished()

    def _finished(self) -> dict[str, dict[str, Any]]:
        from ..jobs.record import finished

        facts = dict[str, dict[str, Any]]()
        for name, job in self._jobs.items():
            record = finished(job) if job.record.is_file() else None
            if record is not None:
                facts[name] = dict(record.facts)
            elif job.record.is_file():
                raise FileError(
                    f"varreg: the result {str(job.record.parent)!r} is of other images, options or another version of varreg than now; "
                    "--force does all pairs again, or give another folder."
                )
        return facts

    def save(self, name: str, result: Result, facts: dict[str, Any], overwrite: bool) -> None:
        """Write the folder of a pair with its record, atomically."""
        from ..io.files import atomic_folder, write_json
        from ..jobs.job import Done
        from ..jobs.record import finished_record, inputs_of

        job = self._jobs[name]
        with atomic_folder(job.record.parent, overwrite=overwrite) as folder:
            result.save(folder, overwrite=True)
            if _states(job) != self._states[name]:
                return  # an image changed during the computation: the result cannot be attributed
            here = dataclasses.replace(job, record=folder / RECORD)
            done = Done(tuple(sorted(folder.iterdir())), facts)
            content = finished_record(here, inputs_of(job), done, result.seconds)
            write_json(folder / RECORD, content)


def _job(name: str, record: Path, pair: dict[str, Any], arguments: dict[str, Any]) -> Job:
    from ..jobs.job import Job

    settings = {key: _plain(value) for key, value in arguments.items() if key not in _HARMLESS}
    inputs = {role: Path(os.fspath(image)) for role, image in pair.items()}
    masks = ("fixed_mask", "moving_mask", "fixed_rigid_mask", "moving_rigid_mask")
    for key in (*masks, "start"):
        value = arguments.get(key)
        if isinstance(value, (str, os.PathLike)) and os.path.exists(value):
            inputs.setdefault(key, Path(os.fspath(value)))
            settings[key] = "file"
    settings["reading"] = {
        role: getattr(image, "reading_options", {}) for role, image in pair.items()
    }
    return Job(name, _register, record, inputs, settings)  # type: ignore[arg-type]


def _register() -> None:
    """Name of the work in the job records; the pairs themselves are registered by a batch."""


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _states(job: Job) -> dict[str, Any]:
    from ..jobs.fingerprint import states

    return {role: path and states(path) for role, path in job.inputs.items()}
