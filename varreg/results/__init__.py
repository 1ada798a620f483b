"""The result of a registration, in memory and in words."""
