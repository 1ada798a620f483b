"""Self-test of a device: comparison with the CPU in fifty-four cases, and a report."""
