"""Checks of a result without ground truth: indications of a failed registration."""
