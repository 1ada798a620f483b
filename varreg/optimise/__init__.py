"""Descent, line search, L-BFGS, history, and reports, independent of images."""
