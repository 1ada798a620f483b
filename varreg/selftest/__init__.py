"""Whether a device computes what the CPU does: fifty-four cases, and a report of them."""
