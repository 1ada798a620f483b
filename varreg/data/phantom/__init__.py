"""A brain-like phantom in two contrasts with a known deformation, generated without files or network."""

from .accuracy import ErrorSummary, mean_dice
from .pairs import DeformedPair, Phantom, brain_phantom, deformed_pair

__all__ = ["DeformedPair", "ErrorSummary", "Phantom", "brain_phantom", "deformed_pair", "mean_dice"]
