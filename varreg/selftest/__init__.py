"""Whether a device computes what the CPU does: forty-eight cases, and a report of them."""
