"""What can be said of a map without knowing the true one."""
