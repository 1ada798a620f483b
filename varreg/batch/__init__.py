"""Many pairs: one executor of threads or processes."""
