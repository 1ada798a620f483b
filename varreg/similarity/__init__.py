"""Similarities of two images at one level, each with its exact analytic gradient."""
