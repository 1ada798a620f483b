"""The sections of a configuration on networks, losses, optimisation and the run itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from varreg.options.presets import PRESETS as ENERGIES

from .rules import Rule, Section, choice, number, path, ruled, whole


def _are_scales(scales: tuple[float, ...]) -> bool:
    decreasing = all(a > b for a, b in zip(scales, scales[1:], strict=False))
    return decreasing and all(1 <= s <= 64 for s in scales)


def _are_devices(names: tuple[str, ...]) -> bool:
    known = all(re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name) for name in names)
    alone = "auto" not in names or len(names) == 1
    return len(names) > 0 and known and alone and len(set(names)) == len(names)


@dataclass(frozen=True)
class ModelConfig(Section):
    """The cascade: what ``Cascade.build`` is called with.

    Parameters
    ----------
    dimension : {2, 3}
        d, of the images.
    shape : tuple of int
        Voxels of the images along each of the d axes.
    at_width, dt_width : int
        Channels of the first block of AT-Net and of each DT-Net; 16 and 32 give the paper's numbers
        of parameters, 588 k and 1474 k. Without AT-Net, 0, the stages begin at the identity.
    scales : tuple of float
        Coarsening factor of the images that each DT-Net stage sees, decreasing; may be empty.
    shared : bool
        All stages are one network.
    pooling : {"flatten", "global"}
        What stands before AT-Net's dense layers; "flatten" ties it to `shape`.
    affine_scale : float
        Coarsening factor of the images that AT-Net sees.
    affine_passes : int
        How often AT-Net is applied, each time to what is left to be done.
    affine_views : {"one", "symmetric"}
        Whether, except in training, AT-Net sees every pair mirrored too and its best answer is taken.
    network : {"u-net", "descent"}
        The paper's DT-Net, or a network that is also told the gradient of mutual information.
    iterations : tuple of int
        How often the network of each scale is applied; empty is once.
    views : {"one", "alternating"}
        Whether each of these passes sees the pair in another of its reflections.
    zero_mean : bool
        Displacements have the mean 0; otherwise the affine part is fitted to the whole map at the end.
    """

    name: ClassVar[str] = "model"
    dimension: int = ruled(2, Rule("2 or 3", int, lambda v: v in (2, 3)))
    shape: tuple[int, ...] = ruled(
        (224, 224),
        Rule(
            "one whole number from 8 to 4096 for each dimension, e.g. 224,224",
            int,
            lambda v: all(8 <= n <= 4096 for n in v),
            many=True,
        ),
    )
    at_width: int = whole(16, 0, 1024)
    dt_width: int = whole(32, 1, 1024)
    scales: tuple[float, ...] = ruled(
        (4.0, 2.0, 1.0),
        Rule("decreasing factors from 64 to 1, e.g. 4,2,1", float, _are_scales, many=True),
    )
    shared: bool = ruled(False, Rule("true or false", bool))
    pooling: str = choice("flatten", ("flatten", "global"))
    affine_scale: float = number(1.0, 1, 64)
    affine_passes: int = whole(1, 1, 16)
    affine_views: str = choice("one", ("one", "symmetric"))
    network: str = choice("u-net", ("u-net", "descent"))
    iterations: tuple[int, ...] = ruled(
        (),
        Rule("one whole number from 1 to 64 for each scale, or none", int,
             lambda v: all(1 <= n <= 64 for n in v), many=True),
    )  # fmt: skip
    views: str = choice("one", ("one", "alternating"))
    zero_mean: bool = ruled(True, Rule("true or false", bool))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.iterations and len(self.iterations) != len(self.scales):
            self._refuse("iterations", f"{len(self.scales)} numbers, as `model.scales` has, or none")
        if len(self.shape) != self.dimension:
            self._refuse("shape", f"{self.dimension} sizes, as `model.dimension` says")


@dataclass(frozen=True)
class LossConfig(Section):
    """Weights and choices of the objective, eq. (12) of the paper.

    Parameters
    ----------
    smoothness, mutual_information, background, consistency : float
        lambda_1 to lambda_4, at least one above 0.
    gamma : float
        The fixed image is background where its intensity, in [0, 1], is below.
    inverse : {"fixed-point", "paper"}
        How the inverse displacement of the consistency term is found.
    estimator : str
        A preset of :class:`varreg.Options`, whose estimator and bins the mutual information takes.
    known_map : float
        Weight of the mean distance to the random map that made the pair, in voxels of the images:
        it is known without any label.
    deep_supervision : float
        Weight of the loss of the coarse stages, each at its own resolution, beside that of the last.
    """

    name: ClassVar[str] = "loss"
    smoothness: float = number(1.0, 0, 1e6)
    mutual_information: float = number(50.0, 0, 1e6)
    background: float = number(100.0, 0, 1e6)
    consistency: float = number(100.0, 0, 1e6)
    gamma: float = number(0.1, 0, 1)
    inverse: str = choice("fixed-point", ("fixed-point", "paper"))
    estimator: str = choice("cfir", ENERGIES)
    known_map: float = number(0.0, 0, 1e6)
    deep_supervision: float = number(0.0, 0, 1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self.smoothness, self.mutual_information, self.background, self.consistency
        if not max(*weights, self.known_map):
            self._refuse("mutual_information", "above 0, or another weight of `loss`")


@dataclass(frozen=True)
class OptimiserConfig(Section):
    """Adam, its learning rate over time, and for how long.

    Parameters
    ----------
    learning_rate : float
        Of Adam, at its largest.
    batch_size : int
        Pairs per step, of all processes together.
    affine_epochs, epochs : int
        Epochs of AT-Net alone, then of the DT-Net stages with AT-Net frozen.
    schedule : {"constant", "cosine"}
        Of the learning rate, after the warm-up.
    warm_up : int
        Steps over which the learning rate rises linearly.
    gradient_clipping : float or None
        Largest norm of the gradient of all parameters together.
    dropout : float
        Share of the values that are cleared in the two deepest blocks of each network.
    """

    name: ClassVar[str] = "optimiser"
    learning_rate: float = number(1e-3, 1e-12, 10)
    batch_size: int = whole(8, 1, 65536)
    affine_epochs: int = whole(100, 0, 1_000_000)
    epochs: int = whole(300, 0, 1_000_000)
    schedule: str = choice("constant", ("constant", "cosine"))
    warm_up: int = whole(0, 0, 100_000_000)
    gradient_clipping: float | None = ruled(
        None, Rule("a number above 0, up to 1e+12, or None", float, lambda v: 0 < v <= 1e12,
                   optional=True)
    )  # fmt: skip
    dropout: float = number(0.3, 0, 0.9)


@dataclass(frozen=True)
class TrainConfig(Section):
    """The run: where it writes, on what it computes, how often it looks at itself.

    Parameters
    ----------
    seed : int
        Of every random choice.
    output : str
        Folder of checkpoints, logs and pictures.
    precision : {"float32", "bfloat16"}
        Of the networks' convolutions.
    affine_from : str or None
        File of weights whose AT-Net is taken instead of training one.
    stages_from : str or None
        File of weights whose DT-Nets the stages begin with: each takes the finest of those that are
        not finer than itself, and one that is coarser than all begins anew, moving nothing.
    threads : int or None
        That each process computes with; None leaves it to torch. Another number rounds differently.
    devices : tuple of str
        "auto" alone, or "cpu", "mps", "cuda", "cuda:0", ...
    checkpoint_every : int
        Steps between checkpoints.
    validation_every : int
        Epochs between validations.
    patience : int or None
        Validations without a better value after which a stage ends; None never ends it early.
    """

    name: ClassVar[str] = "train"
    seed: int = whole(0, 0, 2**63 - 1)
    output: str = path("run")
    affine_from: str | None = path(None)
    stages_from: str | None = path(None)
    precision: str = choice("float32", ("float32", "bfloat16"))
    threads: int | None = ruled(
        None, Rule("a whole number from 1 to 1024 or None", int, lambda v: 1 <= v <= 1024,
                   optional=True)
    )  # fmt: skip
    devices: tuple[str, ...] = ruled(
        ("auto",),
        Rule("'auto' alone, or 'cpu', 'mps', 'cuda', 'cuda:0', ..., each once", str, _are_devices,
             many=True),
    )  # fmt: skip
    checkpoint_every: int = whole(200, 1, 100_000_000)
    validation_every: int = whole(1, 1, 1_000_000)
    patience: int | None = ruled(
        None, Rule("a whole number above 0 or None", int, lambda v: 1 <= v <= 10**9, optional=True)
    )
