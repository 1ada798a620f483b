"""Whether a device computes what the CPU does: forty cases, and a report of them."""
