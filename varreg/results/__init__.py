"""The result of a registration, and its text summary."""
