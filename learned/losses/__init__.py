"""Training losses: the energy of the solver, the further terms of the paper, and terms of known maps and labels.

All terms are per pair of a batch, in voxels of the grid at hand, and computed in float32 or float64
also under autocast.
"""

from .background import background_suppression
from .consistency import dual_consistency
from .dice import label_dice
from .known_map import known_map_distance
from .mutual_information import MutualInformation
from .objective import Losses, LossWeights, Objective
from .smoothness import smoothness

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
