"""The two stages: levels of a problem, the affine search and descent, the multiresolution descent of the displacement."""
