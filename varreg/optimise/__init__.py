"""Minimisation: descent, line search, limited-memory BFGS, and the record of what happened; it knows no images."""
