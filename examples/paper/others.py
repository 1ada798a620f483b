"""Methods that are not trained: nothing, the true map, varreg, and SyN in a process of its own."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import shared
import torch
from evaluation import Scores, evaluated, scores
from pairs import Pair as SavedPair
from pairs import save_pairs
from torch import Tensor
from trainings import Record, Study

from learned.data.datasets import Pair

#: An ANTs that hangs costs no more than this, in seconds per pair.
PATIENCE = 120


def nothing(study: Study) -> Record:
    """The error to start with."""
    record = study.method(
        "nothing", lambda pairs: evaluated(lambda p: torch.zeros_like(p.truth), pairs)
    )
    return _without_times(record)


def truth(study: Study) -> Record:
    """The map that made the pair: what any method may at best find, and its MI."""
    return study.method("truth", lambda pairs: evaluated(None, pairs))


def varreg_solver(study: Study) -> Record:
    """``varreg.solve`` with its defaults."""
    import varreg

    def run(pair: Pair) -> Tensor:
        moving, fixed = (np.ascontiguousarray(x[0].numpy()) for x in (pair.moving, pair.fixed))
        found = varreg.solve(moving, fixed, threads=study.threads, progress=False)
        return torch.from_numpy(np.array(found.displacement))

    return study.method("varreg", lambda pairs: evaluated(run, pairs))


def syn(study: Study) -> Record:
    """ANTs' SyN after its affine stage, through antspyx; "error" if it is not there."""
    try:
        return study.method("syn", lambda pairs: _syn(pairs, study.peer_python, study.threads))
    except RuntimeError as error:
        return {"error": str(error)}


def _syn(pairs: list[Pair], python: str, threads: int) -> list[Scores]:
    with tempfile.TemporaryDirectory() as folder:
        save_pairs(map(_saved, pairs), Path(folder))
        script = shared.FOLDER / "syn_process.py"
        command = [python, str(script), folder, str(threads)]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE * (len(pairs) + 1)
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"SyN: cannot run {python} ({error})") from error
        if ended.returncode:
            said = ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"]
            raise RuntimeError(f"SyN: {said[-1]}")
        found = []
        for index, pair in enumerate(pairs):
            with np.load(Path(folder) / f"answer-{index:04d}.npz") as answer:
                total = torch.from_numpy(answer["displacement"]).float()
                seconds = float(answer["seconds"])
            found.append({"subject": pair.subject, **scores(pair, total), "cpu": seconds})
        return found


def _saved(pair: Pair) -> SavedPair:
    """As the scripts of examples/benchmarks have it."""
    images = pair.fixed[0].numpy(), pair.moving[0].numpy()
    return SavedPair(pair.subject, *images, pair.truth.numpy(), pair.visible[0].numpy())


def _without_times(record: Record) -> Record:
    """To do nothing takes no time that is worth a column."""
    return {
        **record,
        "pairs": [{k: v for k, v in p.items() if k not in ("cpu", "gpu")} for p in record["pairs"]],
    }
