"""The choice of a similarity by its name, level and stage."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..images.level_image import LevelImage
from ..options.options import Options
from .lncc import LocalCorrelation
from .mind import SelfSimilarity
from .mutual_information import MutualInformation
from .normalised import NormalisedMutualInformation
from .overlap import OverlapInformation
from .similarity import Similarity
from .ssd import SquaredDifferences
from .warped import WarpedSimilarity

WARPED: dict[str, type[WarpedSimilarity]] = {
    "lncc": LocalCorrelation,
    "mind": SelfSimilarity,
    "ssd": SquaredDifferences,
}
#: They compare places, and are led astray by ones far apart.
LOCAL = ("regional-mi", "lncc", "mind")


def similarity(
    name: str,
    fixed: LevelImage,
    moving: LevelImage,
    options: Options,
    kernels: ModuleType,
    threads: int,
    dtype: np.dtype | type = np.float32,
    stride: int = 1,
) -> Similarity:
    """The similarity of this name at one level.

    Parameters
    ----------
    name : {"regional-mi", "mi", "nmi", "lncc", "mind", "ssd", "overlap-mi"}
        The last one is that of the affine stage.
    fixed, moving : LevelImage
        The two images at this level.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps.
    stride : int
        Every how many rows of the fixed image one enters a histogram; the others need all of them.
    """
    common = fixed, moving, options, kernels, threads, dtype
    if name in WARPED:
        return WARPED[name](*common)
    if name == "overlap-mi" and options.estimator == "fine-histogram":
        return OverlapInformation(*common, stride=stride)
    if name == "nmi":
        return NormalisedMutualInformation(*common, stride=stride)
    return MutualInformation(*common, regional=name == "regional-mi", stride=stride)


def affine_choice(name: str) -> str:
    """The similarity of the affine stage: what is local sees too little from afar."""
    return "ssd" if name == "ssd" else "overlap-mi"


def deformable_choice(name: str, coarsest: bool) -> str:
    """The similarity of a level of the deformable stage.

    Parameters
    ----------
    name : str
        The option.
    coarsest : bool
        Whether it is the coarsest of several levels; what is local leaves that to the whole image.
    """
    return "mi" if coarsest and name in LOCAL else name
