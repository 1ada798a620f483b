"""Terms of the energy, and the objectives of the affine and the deformable stage."""
