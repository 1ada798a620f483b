"""Whether a device computes what the CPU does: forty-four cases, and a report of them."""
