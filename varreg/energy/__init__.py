"""The smoothness term, and the objectives of both stages."""
