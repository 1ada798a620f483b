"""Networks that the paper compares its cascade with, in the place of its last DT-Net.

Each takes a pair (N, 2, \\*S) - the moving image after AT-Net, and the fixed one - and returns a
displacement (N, d, \\*S) in voxels, so that one training, one loss and one evaluation serve all.
TransMorph and DiffuseMorph stand on backbones of MONAI, VoxelMorph on its own package; the modules say
where they differ from the originals.
"""

from __future__ import annotations

from .networks import NAMES, Baseline, make_network
from .training import baseline_cascade, load_baseline, train_baseline
from .velocity import integrate_velocity

__all__ = [
    "NAMES",
    "Baseline",
    "baseline_cascade",
    "integrate_velocity",
    "load_baseline",
    "make_network",
    "train_baseline",
]
