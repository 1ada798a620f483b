"""Training losses: the energy of the solver, the further terms of the paper, and terms of known maps and labels.

All terms are per pair of a batch, in voxels of the grid at hand, and computed in float32 or float64
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
