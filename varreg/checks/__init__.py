"""Checks of an answer that need no truth: what makes it unlikely to be right."""
