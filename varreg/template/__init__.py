"""Unbiased templates: the mean shape and the mean intensity of a group of people."""
