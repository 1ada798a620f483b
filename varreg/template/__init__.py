"""Unbiased templates: mean shape and mean intensity of a group of participants."""
