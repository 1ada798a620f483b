"""Training losses: the solver's energy, the paper's further terms, and supervised terms from known maps and labels.

All terms are computed for each pair of a batch, in voxels of the current grid and in float32 or float64,
also under autocast.
"""

from .mutual_information import MutualInformation
from .objective import Losses, LossWeights, Objective
from .supervised import known_map_distance, label_dice
from .terms import background_suppression, dual_consistency, smoothness

__all__ = [
    "LossWeights",
    "Losses",
    "MutualInformation",
    "Objective",
    "background_suppression",
    "dual_consistency",
    "known_map_distance",
    "label_dice",
    "smoothness",
]
