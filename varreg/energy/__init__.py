"""The energy: its smoothness term, and the objectives of the affine and the deformable stage."""
