"""Methods without training: the identity, the true map, varreg, and SyN in a separate process."""

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

#: Timeout of ANTs, in seconds per pair.
PATIENCE = 120


def nothing(study: Study) -> Record:
    """Identity: the figures before registration."""
    record = study.method(
        "nothing", lambda pairs: evaluated(lambda p: torch.zeros_like(p.truth), pairs)
    )
    return _without_times(record)


def truth(study: Study) -> Record:
    """True map of the pair, the best possible result, with its MI."""
    return study.method("truth", lambda pairs: evaluated(None, pairs))


def varreg_solver(study: Study) -> Record:
    """``varreg.solve`` with its defaults."""
    return study.method(
        "varreg", lambda pairs: evaluated(lambda pair: solved(pair, study.threads), pairs)
    )


def solved(pair: Pair, threads: int) -> Tensor:
    """The total displacement (d, *S) by ``varreg.solve``."""
    import varreg

    moving, fixed = (np.ascontiguousarray(x[0].numpy()) for x in (pair.moving, pair.fixed))
    found = varreg.solve(moving, fixed, threads=threads, progress=False)
    return torch.from_numpy(np.array(found.displacement))


def syn(study: Study) -> Record:
    """SyN of ANTs (antspyx) after its affine stage; "error" if it is not installed."""
    try:
        return study.method("syn", lambda pairs: _scored(pairs, study))
    except RuntimeError as error:
        return {"error": str(error)}


def _scored(pairs: list[Pair], study: Study) -> list[Scores]:
    answers = zip(pairs, syn_displacements(pairs, study.peer_python, study.threads), strict=True)
    return [{"subject": p.subject, **scores(p, u), "cpu": seconds} for p, (u, seconds) in answers]


def syn_displacements(pairs: list[Pair], python: str, threads: int) -> list[tuple[Tensor, float]]:
    """Total displacement (d, *S) of each pair by SyN, and the time in seconds.

    Raises
    ------
    RuntimeError
        If SyN cannot be run.
    """
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
            messages = ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"]
            raise RuntimeError(f"SyN: {messages[-1]}")
        found = []
        for index in range(len(pairs)):
            with np.load(Path(folder) / f"answer-{index:04d}.npz") as answer:
                total = torch.from_numpy(answer["displacement"]).float()
                seconds = float(answer["seconds"])
            found.append((total, seconds))
        return found


def _saved(pair: Pair) -> SavedPair:
    """Pair in the format of examples/benchmarks."""
    images = pair.fixed[0].numpy(), pair.moving[0].numpy()
    return SavedPair(pair.subject, *images, pair.truth.numpy(), pair.visible[0].numpy())


def _without_times(record: Record) -> Record:
    """Record without times, which are meaningless for the identity."""
    return {
        **record,
        "pairs": [{k: v for k, v in p.items() if k not in ("cpu", "gpu")} for p in record["pairs"]],
    }
