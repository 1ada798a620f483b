"""The sections of a configuration on networks, losses, optimisation and the run itself.

The docstrings are also the help of the command line.  A new key needs a field here and a line in the docstring; its
default must be what was the case before it existed, for files that do not have it.
"""

# annotations are not postponed: jsonargparse would read those as a type checker does, without limits
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

from varreg.errors import InputError
from varreg.options.presets import PRESETS as ENERGIES

from . import fields as kinds
from .data_section import DataConfig
from .fields import Section, hints_of


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
        Channels of the first block of AT-Net and of each DT-Net; 16 and 32 in the paper. An `at_width` of 0
        leaves out AT-Net; the stages then start from the identity.
    scales : tuple of float
        Coarsening factor of the images that each DT-Net stage sees, decreasing; may be empty.
    shared : bool
        Whether all stages share the weights of one network.
    pooling : {"flatten", "global"}
        Layer before AT-Net's dense layers; "flatten" fixes the image size to `shape`.
    affine_scale : float
        Coarsening factor of the images that AT-Net sees.
    affine_passes : int
        Number of times AT-Net is applied, each time to the remaining misalignment.
    network : {"u-net", "descent"}
        The paper's DT-Net, or a network that also takes the gradient of mutual information as input.
    iterations : tuple of int
        Number of passes of the network at each scale; empty means one each.
    views : {"one", "alternating"}
        "alternating": each pass takes a different reflection of the pair.
    zero_mean : bool
        Whether displacements have zero mean; if not, the affine part is fitted to the final map.
    starts : {"one", "two"}
        "two": at inference the coarse stages also start from the identity, and the better result is kept.
    """

    name: ClassVar[str] = "model"
    gone: ClassVar[dict[str, Any]] = {"affine_views": ("one",)}
    dimension: Literal[2, 3] = 2
    shape: tuple[kinds.Size, ...] = (224, 224)
    at_width: kinds.WidthOrNone = 16
    dt_width: kinds.Width = 32
    scales: tuple[kinds.Factor, ...] = (4.0, 2.0, 1.0)
    shared: bool = False
    pooling: Literal["flatten", "global"] = "flatten"
    affine_scale: kinds.Factor = 1.0
    affine_passes: kinds.Few = 1
    network: Literal["u-net", "descent"] = "u-net"
    iterations: tuple[kinds.Few, ...] = ()
    views: Literal["one", "alternating"] = "one"
    zero_mean: bool = True
    starts: Literal["one", "two"] = "one"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != self.dimension:
            self._refuse("shape", f"{self.dimension} sizes, as `model.dimension` says")
        if any(before <= after for before, after in pairwise(self.scales)):
            self._refuse("scales", "decreasing factors from 64 to 1, e.g. 4,2,1")
        if self.iterations and len(self.iterations) != len(self.scales):
            self._refuse(
                "iterations", f"{len(self.scales)} numbers, as `model.scales` has, or none"
            )


@dataclass(frozen=True)
class LossConfig(Section):
    """Weights and choices of the objective, eq. (12) of the paper.

    Parameters
    ----------
    smoothness, mutual_information, background, consistency : float
        Weights of the terms, lambda_1 to lambda_4 of the paper; at least one above 0.
    gamma : float
        Intensity in [0, 1] below which the fixed image is background.
    inverse : {"fixed-point", "paper"}
        How the consistency term inverts the displacement.
    estimator : str
        Preset of :class:`varreg.Options` that sets the estimator and bins of mutual information.
    known_map : float
        Weight of the mean distance in voxels to the random map that made the pair, where it is known.
    dice : float
        Weight of 1 - the mean Dice overlap of labels.
    """

    name: ClassVar[str] = "loss"
    gone: ClassVar[dict[str, Any]] = {"deep_supervision": ()}
    smoothness: kinds.Weight = 1.0
    mutual_information: kinds.Weight = 50.0
    background: kinds.Weight = 100.0
    consistency: kinds.Weight = 100.0
    gamma: kinds.Share = 0.1
    inverse: Literal["fixed-point", "paper"] = "fixed-point"
    estimator: kinds.Name = "cfir"
    known_map: kinds.Weight = 0.0
    dice: kinds.Weight = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimator not in ENERGIES:
            self._refuse("estimator", f"one of {', '.join(map(repr, ENERGIES))}")
        energy = self.smoothness, self.mutual_information, self.background, self.consistency
        if not max(*energy, self.known_map, self.dice):
            self._refuse("mutual_information", "above 0, or another weight of `loss`")


@dataclass(frozen=True)
class OptimiserConfig(Section):
    """The Adam optimiser, its learning rate schedule and the number of epochs.

    Parameters
    ----------
    learning_rate : float
        Largest learning rate of Adam.
    batch_size : int
        Pairs per step, over all processes.
    affine_epochs, epochs : int
        Epochs of AT-Net alone, and of the DT-Net stages with AT-Net frozen.
    schedule : {"constant", "cosine"}
        Schedule of the learning rate after the warm-up.
    warm_up : int
        Steps over which the learning rate rises linearly.
    last_rate : float
        Learning rate at the end of the cosine schedule, as a fraction of `learning_rate`.
    averaging : float
        Decay of the exponential moving average of the weights, which is what is saved; 0 for none.
    gradient_clipping : float or None
        Largest norm of the gradient over all parameters.
    dropout : float
        Dropout rate in the two deepest blocks of each network.
    """

    name: ClassVar[str] = "optimiser"
    learning_rate: kinds.Rate = 1e-3
    batch_size: kinds.Positive = 8
    affine_epochs: kinds.Whole = 100
    epochs: kinds.Whole = 300
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: kinds.Whole = 0
    last_rate: kinds.Share = 0.0
    averaging: kinds.Decay = 0.0
    gradient_clipping: kinds.Norm | None = None
    dropout: kinds.Most = 0.3


@dataclass(frozen=True)
class TrainConfig(Section):
    """The run: output folder, devices, checkpoints and validation.

    Parameters
    ----------
    seed : int
        Seed of all random numbers.
    output : str
        Folder for checkpoints, logs and pictures.
    precision : {"float32", "bfloat16"}
        Precision of the networks' convolutions.
    affine_from : str or None
        Weights file whose AT-Net is used instead of training one.
    stages_from : str or None
        Weights file from whose DT-Nets the stages start: each takes the finest one that is not finer than itself.
    threads : int or None
        Threads of each process; by default PyTorch's choice. Their number changes rounding.
    devices : tuple of str
        "auto", or a list of "cpu", "mps", "cuda", "cuda:0", ...
    checkpoint_every : int
        Steps between checkpoints.
    validation_every : int
        Epochs between validations.
    patience : int or None
        Validations without improvement after which a stage stops; by default never.
    """

    name: ClassVar[str] = "train"
    seed: kinds.Seed = 0
    output: kinds.PathText = "run"
    affine_from: kinds.PathText | None = None
    stages_from: kinds.PathText | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: kinds.Width | None = None
    devices: tuple[kinds.Device, ...] = ("auto",)
    checkpoint_every: kinds.Positive = 200
    validation_every: kinds.Positive = 1
    patience: kinds.Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        alone = "auto" not in self.devices or len(self.devices) == 1
        if not self.devices or not alone or len(set(self.devices)) < len(self.devices):
            self._refuse("devices", "'auto' alone, or 'cpu', 'cuda', 'cuda:0', ..., each once")


@dataclass(frozen=True)
class Config:
    """All sections together.

    Examples
    --------
    >>> Config().model.scales
    (4.0, 2.0, 1.0)
    """

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"`Config({name}=...)` must be a {kind.__name__}; got "
                    f"{type(getattr(self, name)).__name__}."
                )


SECTIONS: dict[str, type[Section]] = {
    kind.name: kind for kind in (ModelConfig, LossConfig, DataConfig, OptimiserConfig, TrainConfig)
}


def keys() -> dict[str, Any]:
    """Every key, with its type."""
    return {f"{n}.{key}": h for n, kind in SECTIONS.items() for key, h in hints_of(kind).items()}


def flat(config: Config) -> dict[str, Any]:
    """The values of all keys."""
    return {f"{s}.{k}": v for s, c in asdict(config).items() for k, v in c.items()}
