"""Everything that `start=` may be: a map of any origin as the initialisation of the deformable stage."""
