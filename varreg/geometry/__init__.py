"""Grids, matrices, displacements between nodes, folds, resampling."""
