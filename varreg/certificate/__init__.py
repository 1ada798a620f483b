"""Assessment of a map without knowing the true one."""
