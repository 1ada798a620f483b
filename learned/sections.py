"""Sections of the configuration for networks, loss, optimisation and the run.

The docstrings are also the help of the command line.  A new key requires a field and a line of the docstring; its
default must reproduce the previous behaviour, for files without the key.
"""

# no postponed annotations: jsonargparse would resolve them as a type checker does, without limits
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
    """Architecture of the cascade of networks.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension of the images.
    shape : tuple of int
        Number of voxels of the images along each axis.
    at_width : int
        Channels of the first block of AT-Net, 16 in the paper; 0 for no AT-Net, so that the stages start from the identity.
    dt_width : int
        Channels of the first block of each DT-Net, 32 in the paper.
    scales : tuple of float
        Coarsening factors of the images for the DT-Net stages, decreasing; may be empty.
    shared : bool
        Whether all stages share the weights of one network.
    pooling : {"flatten", "global"}
        Layer before AT-Net's dense layers; "flatten" fixes the image size to `shape`, "global" does not.
    affine_scale : float
        Coarsening factor of the images for AT-Net.
    affine_passes : int
        Number of passes of AT-Net, each on the moving image warped by the current map.
    network : {"u-net", "descent"}
        Deformable network: the paper's DT-Net, or a network with the gradient of mutual information as additional input.
    iterations : tuple of int
        Number of passes of the network at each scale; empty for one each.
    views : {"one", "alternating"}
        "alternating": each pass receives a different reflection of the pair.
    zero_mean : bool
        Whether displacements have zero mean; if not, the affine part is fitted to the final map.
    starts : {"one", "two"}
        "two": at inference the coarse stages also start from the identity, and the better result is continued.
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
            self._refuse("shape", f"{self.dimension} sizes, according to `model.dimension`")
        if any(before <= after for before, after in pairwise(self.scales)):
            self._refuse("scales", "decreasing factors from 64 to 1, e.g. 4,2,1")
        if self.iterations and len(self.iterations) != len(self.scales):
            self._refuse(
                "iterations",
                f"{len(self.scales)} numbers, one per scale in `model.scales`, or none",
            )


@dataclass(frozen=True)
class LossConfig(Section):
    """Weights and settings of the loss, eq. (12) of the paper.

    Parameters
    ----------
    smoothness, mutual_information, background, consistency : float
        Weight of this term: lambda_1, lambda_2, lambda_3 or lambda_4 of the paper; one weight must be above 0.
    gamma : float
        Intensity in [0, 1] below which the fixed image is background.
    inverse : {"fixed-point", "paper"}
        Method of inversion of the displacement in the consistency term.
    estimator : str
        Preset of varreg.Options that defines the density estimator and the bins of mutual information.
    known_map : float
        Weight of the mean distance in voxels to the known random map of the pair.
    dice : float
        Weight of 1 - Dice, the mean overlap of labels.
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
    """Adam optimiser, learning-rate schedule and number of epochs.

    Parameters
    ----------
    learning_rate : float
        Largest learning rate of Adam.
    batch_size : int
        Pairs per step, over all processes.
    affine_epochs : int
        Epochs of the affine stage, AT-Net alone.
    epochs : int
        Epochs of the deformable stage, the DT-Nets with AT-Net frozen.
    schedule : {"constant", "cosine"}
        Schedule of the learning rate after the warm-up.
    warm_up : int
        Number of steps with linearly increasing learning rate.
    last_rate : float
        Learning rate at the end of the cosine schedule, as a fraction of `learning_rate`.
    averaging : float
        Decay of the exponential moving average of the weights, which is validated and saved; 0 for none.
    gradient_clipping : float or None
        Largest norm of the gradient of all parameters; None for no clipping.
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
    """Output folder, devices, checkpoints and validation of the run.

    Parameters
    ----------
    seed : int
        Seed of all random numbers.
    output : str
        Folder for checkpoints, logs and pictures.
    precision : {"float32", "bfloat16"}
        Precision of the networks' convolutions.
    affine_from : str or None
        Model file with the weights of AT-Net, which is trained further unless `optimiser.affine_epochs` is 0.
    stages_from : str or None
        Model file with the initial weights of the DT-Nets: for each stage the finest of its scales that is not finer.
    threads : int or None
        Threads of each process; by default PyTorch's choice. Results depend on it only by rounding.
    devices : tuple of str
        "auto", or a list of "cpu", "cuda", "cuda:0", ...
    checkpoint_every : int
        Number of steps between checkpoints.
    validation_every : int
        Number of epochs between validations.
    patience : int or None
        Number of validations without improvement after which a stage ends; None for never.
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
    """Configuration of a training: all sections."""

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
    """Types of all keys."""
    return {f"{n}.{key}": h for n, kind in SECTIONS.items() for key, h in hints_of(kind).items()}


def flat(config: Config) -> dict[str, Any]:
    """Values of all keys."""
    return {f"{s}.{k}": v for s, c in asdict(config).items() for k, v in c.items()}
