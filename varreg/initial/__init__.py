"""The argument `start=`: any map as the initialisation of a registration."""
