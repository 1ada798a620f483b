"""Image series: motion correction, motion parameters, and transforms applied volume by volume."""
