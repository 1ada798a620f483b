"""Smooth heads."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "benchmarks"
NAMES = [file.stem for file in FOLDER.glob("*.py")]


def smooth_head(shape, seed=0):
    """A blob with smooth texture, 0 far outside."""
    rng = np.random.default_rng(seed)
    x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    texture = gaussian_filter(rng.normal(size=shape), 6)
    blob = 1 / (1 + np.exp(12 * (np.sqrt((x**2).sum(0)) - 0.6)))
    return (blob * (0.6 + 0.3 * texture / np.abs(texture).max())).astype(np.float32)
