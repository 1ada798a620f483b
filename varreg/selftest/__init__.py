"""Whether a device computes what the CPU does: forty-one cases, and a report of them."""
