"""Similarity by name, level and stage."""

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
#: Local similarities, which have a small capture range.
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
    """Similarity of a given name at one level.

    Parameters
    ----------
    name : {"regional-mi", "mi", "nmi", "lncc", "mind", "ssd", "overlap-mi"}
        "overlap-mi" is the similarity of the affine stage.
    fixed, moving : LevelImage
        The two images at this level.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps.
    stride : int
        Subsampling of the rows of the fixed image for joint histograms; other similarities use all rows.

    Returns
    -------
    Similarity
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
    """Similarity of the affine stage, never a local one because of their small capture range."""
    return "ssd" if name == "ssd" else "overlap-mi"


def deformable_choice(name: str, coarsest: bool) -> str:
    """Similarity of a level of the deformable stage.

    Parameters
    ----------
    name : str
        Similarity of the options.
    coarsest : bool
        Whether it is the coarsest of several levels, where "mi" replaces local similarities.
    """
    return "mi" if coarsest and name in LOCAL else name
