"""Slides through a map, tile by tile: memory does not grow with their size."""
