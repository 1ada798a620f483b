"""Descent, line search, L-BFGS, history: it knows no images."""
