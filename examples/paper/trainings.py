"""Networks of the tables, each trained and evaluated once, in a folder named by its configuration."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shared  # noqa: F401
import torch
from evaluation import Scores, evaluated, runs_of
from identity import described, digest
from machine import describe
from presets import AFFINE, PRESETS, base_config

from learned.baselines import Baseline, load_baseline, make_network, train_baseline
from learned.cascade import Cascade
from learned.config import Config, with_changes
from learned.data.datasets import Pair
from learned.data.parts import make_parts
from learned.train import train
from learned.weights import load_weights, read_model
from varreg.errors import InputError
from varreg.io.atomic import atomic_path

logger = logging.getLogger(__name__)
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network of a table.

    Attributes
    ----------
    changes : tuple of str
        Changes of the base configuration, ``section.field=value``.
    baseline : str or None
        Network of :mod:`learned.baselines` instead of DT-Nets.
    affine : bool
        Whether there is an AT-Net; if not, displacements may have any mean.
    consistency : float
        Weight of the dual consistency with the network's own inverse.
    """

    changes: tuple[str, ...] = ()
    baseline: str | None = None
    affine: bool = True
    consistency: float = 0.0


def group(number: int, *changes: str, **arguments: Any) -> Variant:
    """Cascade of the paper's Table 2 with the given number of scales."""
    scales = ",".join(str(2**k) for k in reversed(range(number)))
    return Variant((f"model.scales={scales}", *changes), **arguments)


CFIR, OURS = group(1), group(3)


class Study:
    """Training and evaluation of the networks of the tables, with storage of the results.

    Parameters
    ----------
    output : Path
        Folder of all tables, with the subfolders ``runs`` and ``evaluations``.
    preset : str
    manifest, labels : str, optional
    threads : int, optional
    changes : tuple of str
        See :func:`presets.base_config`.
    peer_python : str
        Python interpreter with antspyx.
    """

    def __init__(
        self,
        output: Path,
        preset: str,
        manifest: str | None = None,
        labels: str | None = None,
        threads: int | None = None,
        changes: tuple[str, ...] = (),
        peer_python: str = "python",
    ) -> None:
        self.output, self.preset, self.peer_python = Path(output), preset, peer_python
        self.threads = threads or torch.get_num_threads()
        # the path of the cache is not reported
        self.changes = [c for c in changes if not c.startswith("data.cache=")]
        cache = (
            []
            if any(c.startswith("data.cache=") for c in changes)
            else [f"data.cache={self.output / 'cache'}"]
        )
        self.base = base_config(preset, manifest, labels, threads, (*cache, *changes))
        self.runs, self.evaluations = self.output / "runs", self.output / "evaluations"
        for folder in (self.output / "cache", self.runs, self.evaluations):
            folder.mkdir(parents=True, exist_ok=True)
        self._pairs: list[Pair] | None = None

    @property
    def pairs(self) -> list[Pair]:
        """Test pairs, the same for every method, of subjects not used for training."""
        if self._pairs is None:
            parts = make_parts(self.base)
            chosen = parts.validation if parts.test is None else parts.test
            self._pairs = [chosen[0, k] for k in range(len(chosen))]
        return self._pairs

    def figures(self, variant: Variant) -> Record:
        """Figures of a network on the test pairs; "error" if a package is not installed."""
        try:
            return self.recorded(self.key(variant), lambda: self._evaluate(variant))
        except InputError as error:
            if "learned.baselines" not in str(error):
                raise
            logger.warning("%s", error)
            return {"error": str(error)}

    def method(self, name: str, find: Callable[[list[Pair]], list[Scores]]) -> Record:
        """Figures of a method without training."""
        key = f"{name}-{digest(self._data())}"
        return self.recorded(key, lambda: {"pairs": find(self.pairs), "parameters": None})

    def recorded(self, key: str, find: Callable[[], Record]) -> Record:
        """Record stored under a key, computed if necessary."""
        file = self.evaluations / f"{key}.json"
        if not file.is_file():
            torch.set_num_threads(self.threads)
            record = {"key": key, **find(), "machine": describe(), "threads": self.threads}
            with atomic_path(file, overwrite=True) as temporary:
                temporary.write_text(json.dumps(record, indent=1))
        return json.loads(file.read_text())

    def cascade(self, variant: Variant) -> Cascade:
        """Trained network; it is trained if necessary."""
        config, model = self.config(variant), self._train(variant)
        baseline = self._baseline(variant)
        if baseline is not None:
            return load_baseline(model, config)
        cascade = Cascade.build(**dataclasses.asdict(config.model))
        load_weights(cascade, read_model(model)[0])
        return cascade.eval()

    def config(self, variant: Variant) -> Config:
        """Configuration of a network, with AT-Net from a file, or without AT-Net."""
        affine = [f"train.affine_from={self._affine_model()}"] if variant.affine else []
        config = with_changes(self.base, [*variant.changes, *affine, "optimiser.affine_epochs=0"])
        return with_changes(config, [f"train.output={self.runs / self.key(variant)}"])

    def key(self, variant: Variant) -> str:
        """Unique name of a network, which depends on its whole configuration."""
        config = with_changes(self.base, variant.changes)
        content = {
            "config": described(config),
            "baseline": dataclasses.asdict(self._baseline(variant) or Baseline("free-dt-net")),
            "is_baseline": self._baseline(variant) is not None,
            "affine": described(self._affine_config()) if variant.affine else None,
        }
        return f"{variant.baseline or 'dt-net'}-{len(config.model.scales)}-{digest(content)}"

    def _affine_config(self) -> Config:
        epochs = PRESETS[self.preset].affine_epochs
        changes = [
            f"optimiser.affine_epochs={epochs}", "model.scales=", f"train.validation_every={epochs}",
            *AFFINE,
        ]  # fmt: skip
        return with_changes(self.base, changes)

    def _affine_model(self) -> Path:
        """Path of the model file of the common AT-Net."""
        return (
            self.runs / f"at-net-{digest(described(self._affine_config()))}" / "model.safetensors"
        )

    def _baseline(self, variant: Variant) -> Baseline | None:
        name = variant.baseline or (None if variant.affine else "free-dt-net")
        if name is None:
            return None
        return Baseline(name, PRESETS[self.preset].widths.get(name), variant.consistency)

    def _train(self, variant: Variant) -> Path:
        """Path of the model file; the network is trained if necessary."""
        if variant.affine:
            model = self._affine_model()
            config = with_changes(self._affine_config(), [f"train.output={model.parent}"])
            self._finish(model.parent, lambda: train(config, resume=True, tensorboard=False))
        config, baseline = self.config(variant), self._baseline(variant)
        folder = self.runs / self.key(variant)
        if baseline is None:
            self._finish(folder, lambda: train(config, resume=True, tensorboard=False))
        else:
            # raises an error before the folder is created if a package is missing
            make_network(baseline, config, torch.Generator())
            self._finish(
                folder, lambda: train_baseline(config, baseline, resume=True, tensorboard=False)
            )
        return folder / "model.safetensors"

    def _finish(self, folder: Path, work: Callable[[], Any]) -> None:
        """Run a training, from its last checkpoint, unless it is finished."""
        mark = folder / "finished.json"
        if mark.is_file():
            return
        logger.warning("training %s", folder.name)
        start = time.perf_counter()
        work()
        mark.write_text(json.dumps({"seconds_of_the_last_start": time.perf_counter() - start}))

    def _evaluate(self, variant: Variant) -> Record:
        cascade = self.cascade(variant)
        torch.set_num_threads(self.threads)
        run, gpu = runs_of(cascade)
        return {
            "pairs": evaluated(run, self.pairs, gpu),
            "parameters": sum(p.numel() for p in cascade.dt_nets.parameters()),
        }

    def _data(self) -> dict[str, Any]:
        """Configuration on which the test pairs depend."""
        content = described(self.base)
        return {"data": content["data"], "shape": content["model"]["shape"]}

    def described_data(self) -> dict[str, Any]:
        """Description of the test pairs for a table."""
        return {
            "source": self.base.data.source,
            "pairs": len(self.pairs),
            "shape": list(self.base.model.shape),
            "spacing": self.base.data.spacing,
            "subjects": sorted({pair.subject for pair in self.pairs}),
        }
