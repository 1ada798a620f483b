"""Many people of a BIDS dataset: their images, what is registered to what, derivatives, one page."""
