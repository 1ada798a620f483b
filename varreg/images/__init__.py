"""Accepted images, pairs of images and masks, and reading of image files."""
