"""What can be said of any map between two images without knowing the true one."""
