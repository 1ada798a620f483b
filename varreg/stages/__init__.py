"""The affine stage and the multiresolution deformable stage."""
