"""Similarity measures of two images at one level, with exact analytic gradients."""
