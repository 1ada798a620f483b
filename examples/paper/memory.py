"""Section 3.3.9: memory of the networks.

    python examples/paper/memory.py --preset reduced --output paper

Peak memory of a separate process minus its memory before the forward pass, at 256 x 256 voxels: GPU memory if there
is a GPU, otherwise resident memory.  It requires neither trained networks nor data.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import shared  # noqa: F401
import torch
from command import main
from machine import describe
from paper_numbers import MEMORY
from torch import nn
from trainings import Study
from writing import NONE, Table, claim, number

from learned.at_net import ATNet
from learned.dt_net import DTNet

NAME = "memory"
SIDE = 256
#: Network, task, batch size.
CASES = (
    ("DT-Net", "inference", 1), ("DT-Net", "inference", 4), ("DT-Net", "inference", 8),
    ("DT-Net", "training", 1), ("DT-Net", "training", 8), ("AT-Net", "inference", 1),
)  # fmt: skip
WIDTHS = {"DT-Net": (8, 32), "AT-Net": (16,)}
Found = dict[tuple[str, str, int, int], float]


def make(study: Study) -> Table:
    """One row for each network, task, batch size and width."""
    found: Found = {}
    for network, work, batch in CASES:
        for width in WIDTHS[network]:
            key = f"memory-{network}-{work}-{batch}-{width}-{study.threads}"
            case = (network, work, batch, width)
            found[case] = study.recorded(key, lambda case=case: _measured(case, study.threads))[
                "gigabytes"
            ]
    lines = [
        [f"{network}, {work}, batch {batch}", str(width), number(value, 3),
         str(MEMORY.get(f"{network}, {work}, batch {batch}", NONE))]
        for (network, work, batch, width), value in found.items()
    ]  # fmt: skip
    header = ("network and task", "width", "GB", "paper's GB (width not stated)")
    return {
        "title": "Section 3.3.9: memory",
        "preset": study.preset,
        "says": f"Peak {_device()} memory at {SIDE} x {SIDE} voxels minus that before the forward pass; one stage",
        "machine": describe(),
        "threads": study.threads,
        "rows": [],
        "further": [{"title": "Peak memory", "header": header, "rows": lines}],
        "claims": _claims(found),
        "pictures": [],
    }


def _claims(found: Found) -> list[dict[str, Any]]:
    def share(one: tuple[str, int], other: tuple[str, int], width: int) -> float:
        return found[("DT-Net", *one, width)] / found[("DT-Net", *other, width)]

    linear = [share(("inference", 8), ("inference", 1), w) for w in WIDTHS["DT-Net"]]
    training = [share(("training", 8), ("inference", 8), w) for w in WIDTHS["DT-Net"]]
    most = max(value for (network, *_), value in found.items() if network == "DT-Net")
    return [
        claim("memory is linear in the batch, within a tenth", "stated; 2.6 GB and 9.5 GB at 1 and 4",
              f"8 relative to 1: {_listed(linear)} times", all(abs(x - 8) < 0.8 for x in linear)),
        claim("training takes 2.5 to 3 times the memory of inference with the same batch", "7.9 / 2.6 = 3.0, for unequal batches",
              f"{_listed(training)} times at batch 8", all(2.5 <= x <= 3 for x in training)),
        claim("all of it fits into 11 GB", "at most 9.5 GB", f"at most {most:.2f} GB", most < 11),
    ]  # fmt: skip


def _listed(values: list[float]) -> str:
    return ", ".join(f"{x:.1f}" for x in values)


def _device() -> str:
    return "GPU" if torch.cuda.is_available() else "resident"


def _measured(case: tuple[str, str, int, int], threads: int) -> dict[str, Any]:
    """Memory in gigabytes (1e9 bytes), measured in a separate process, because a peak cannot be reset."""
    command = [sys.executable, __file__, "--case", *map(str, case), str(threads)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"gigabytes": float(ended.stdout)}


def _run(network: str, work: str, batch: int, width: int, threads: int) -> float:
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    net: nn.Module = (
        DTNet(width=width) if network == "DT-Net" else ATNet(width=width, shape=(SIDE, SIDE))
    )
    net = net.to(device).train(work == "training")
    pair = torch.rand(batch, 2, SIDE, SIDE, device=device)
    before = torch.cuda.memory_allocated() if cuda else _resident()
    with torch.set_grad_enabled(work == "training"):
        answer = net(pair)
        if work == "training":
            optimiser = torch.optim.Adam(net.parameters())
            answer.square().mean().backward()
            optimiser.step()
    return ((torch.cuda.max_memory_allocated() if cuda else _resident()) - before) / 1e9


def _resident() -> int:
    """Peak resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage includes the peak of the parent process
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        name, work, *numbers = sys.argv[2:]
        print(_run(name, work, *map(int, numbers)))
        sys.exit()
    sys.exit(main(NAME, make, __doc__))
