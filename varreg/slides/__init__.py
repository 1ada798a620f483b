"""Warping of slides tile by tile: memory does not grow with their size."""
