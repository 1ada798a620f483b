"""Grids, matrices, displacements between nodes, folds, resampling: arrays and where they are."""
